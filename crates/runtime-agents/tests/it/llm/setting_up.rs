//! Names, keys and addresses: right ones and wrong ones.

use std::sync::Arc;

use runtime_agents::llm::{GenaiModel, GenaiModels, Provider, Secret, SetupError};
use runtime_agents::{ModelSettings, ModelSource, Retrying};
use runtime_traits::{CalledModel, Model};

use crate::llm::support::{KEY, Shown, hello, key_file, model_at, name_of};
use crate::wire::{Then, Wire, answer};

fn refused(name: &str) -> SetupError {
    GenaiModel::named(name).key("file:/dev/null").build().unwrap_err()
}

#[test]
fn a_model_is_named_by_provider_and_name() {
    assert!(matches!(refused("gpt-4o"), SetupError::NoProvider { .. }));

    let error = refused("mistake/gpt-4o");
    assert_eq!(error, SetupError::UnknownProvider { provider: "mistake".to_owned() });
    let text = error.to_string();
    for provider in Provider::ALL {
        assert!(text.contains(&format!("`{provider}`")), "{text}");
        assert_eq!(provider.as_str().parse(), Ok(provider));
        let settings = serde_json::to_string(&provider).unwrap();
        assert_eq!(settings, format!("\"{provider}\""));
    }
}

#[test]
fn a_name_that_would_be_changed_on_its_way_is_refused() {
    for name in
        ["openai/", "openai/a b", "openai/a\u{7}", "openai/a::b", "anthropic/claude-high", "gemini/flash-low"]
    {
        assert!(matches!(refused(name), SetupError::Name { .. }), "{name}");
    }
}

#[test]
fn a_key_is_where_its_reference_says_or_the_reference_is_named() {
    assert_eq!(Secret::read(KEY).unwrap_err(), SetupError::KeyReference);
    assert_eq!(Secret::read(&format!("literal:{KEY}")).unwrap_err(), SetupError::KeyReference);

    for reference in
        ["env:THERE_IS_NO_SUCH_KEY", "file:/there/is/no/such/file", "file:/dev/null", "file:/proc/version"]
    {
        let error = Secret::read(reference).unwrap_err();
        assert!(matches!(&error, SetupError::Key { reference: named, .. } if named == reference), "{error}");
        assert!(error.to_string().contains(reference), "{error}");
    }
    // Cargo sets it for every test.
    Secret::read("env:CARGO_PKG_NAME").unwrap();
}

#[test]
fn a_key_is_shown_nowhere() {
    let file = key_file();
    let reference = format!("file:{}", file.path().display());
    let secret = Secret::read(&reference).unwrap();
    let builder = GenaiModel::named("openai/gpt-4o").key(KEY);
    let model = GenaiModel::named("openai/gpt-4o").key(reference).build().unwrap();
    let settings =
        ModelSettings { key: Some(KEY.to_owned()), ..ModelSettings::new("a".parse().unwrap(), "openai/x") };
    let error = GenaiModels.model(&settings).unwrap_err();

    let texts = format!("{secret:?} {builder:?} {model:?} {error} {error:?} {:?}", builder.clone().build());
    assert!(!texts.contains(KEY), "{texts}");
    assert!(texts.contains("GenaiModel(openai/gpt-4o)"), "{texts}");
}

#[test]
fn a_model_says_where_its_key_is_and_that_it_has_none_and_so_does_what_repeats_it() {
    let file = key_file();
    let reference = format!("file:{}", file.path().display());
    let model = GenaiModel::named("openai/gpt-4o").key(&reference).build().unwrap();
    assert_eq!(model.called(), CalledModel::from("openai/gpt-4o").with_credential(&reference));
    assert!(!format!("{:?}", model.called()).contains(KEY));
    assert_eq!(Retrying::new(Arc::new(model), 3).credential(), Some(reference.as_str()));

    let keyless = GenaiModel::named("openai/a").base_url("http://localhost:1/v1").build().unwrap();
    assert_eq!(keyless.called(), CalledModel::from("openai/a"));
}

#[test]
fn an_address_is_http_and_holds_no_secret() {
    let at = |name: &str, url: &str| GenaiModel::named(name).base_url(url).key("env:CARGO_PKG_NAME").build();
    for url in [
        "",
        "localhost:80",
        "ftp://host/",
        "file:///etc",
        "http://me:hunter2@host/",
        "http://me@host/",
        "http://host/#a",
    ] {
        let error = at("openai/a", url).unwrap_err();
        assert!(matches!(error, SetupError::BaseUrl { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    at("openai/a", "https://host/v1?api-version=1").unwrap();
    assert!(matches!(at("gemini/a", "https://host/v1?a=1"), Err(SetupError::BaseUrl { .. })));
}

#[tokio::test]
async fn a_key_goes_only_where_it_was_made_for() {
    let refusal = answer("400 Bad Request", "", "{}");
    let wire = Wire::says([refusal], Then::Closes).await;
    // Without a word about a key, none is read for a server that somebody named.
    let keyless = |name: &str| GenaiModel::named(name).base_url(wire.url("/v1")).build();
    for name in ["openai/a", "ollama/a"] {
        keyless(name).unwrap().reply(&hello(), &Shown::default()).await.unwrap_err();
    }
    for name in ["anthropic/a", "gemini/a"] {
        assert!(matches!(keyless(name), Err(SetupError::KeyNeeded { .. })), "{name}");
    }
    for asked in wire.asked() {
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.line, "POST /v1/chat/completions HTTP/1.1");
    }
    assert_eq!(wire.asked().len(), 2);
}

#[tokio::test]
async fn every_provider_is_asked_at_its_own_path_with_the_key_in_its_own_header() {
    let wire = Wire::says([answer("400 Bad Request", "", "{}")], Then::Closes).await;
    for provider in Provider::ALL {
        let model = model_at(&name_of(provider), &wire.url("/v1"));
        assert_eq!((model.name(), model.provider()), (name_of(provider).as_str(), provider));
        model.reply(&hello(), &Shown::default()).await.unwrap_err();
    }
    model_at("ollama/llama", &wire.url("")).reply(&hello(), &Shown::default()).await.unwrap_err();

    let asked: Vec<(String, String)> = wire
        .asked()
        .iter()
        .map(|asked| {
            let key = asked.headers.iter().find(|(_, value)| value.contains(KEY)).unwrap();
            (asked.line.clone(), key.0.clone())
        })
        .collect();
    let expected = [
        ("POST /v1/chat/completions HTTP/1.1", "authorization"),
        ("POST /v1/messages HTTP/1.1", "x-api-key"),
        ("POST /v1/models/some-model:streamGenerateContent?alt=sse HTTP/1.1", "x-goog-api-key"),
        ("POST /v1/chat/completions HTTP/1.1", "authorization"),
        ("POST /v1/chat/completions HTTP/1.1", "authorization"),
    ];
    assert_eq!(asked, expected.map(|(line, header)| (line.to_owned(), header.to_owned())));
}

#[test]
fn the_settings_of_an_agent_make_a_model_or_name_the_setting_that_is_wrong() {
    let settings = ModelSettings::new("helper".parse().unwrap(), "ollama/llama3");
    assert_eq!(GenaiModels.model(&settings).unwrap().name(), "ollama/llama3");

    let told = |settings: &ModelSettings| GenaiModels.model(settings).unwrap_err().to_string();
    for model in ["llama3", "mistake/a", "openai/a b"] {
        let text = told(&ModelSettings { model: model.to_owned(), ..settings.clone() });
        assert!(text.starts_with("agent `helper`: setting `model`: "), "{text}");
    }
    let text = told(&ModelSettings { key: Some("plain".to_owned()), ..settings.clone() });
    assert!(text.starts_with("agent `helper`: setting `key`: "), "{text}");
    let text = told(&ModelSettings { base_url: Some("here".to_owned()), ..settings });
    assert!(text.starts_with("agent `helper`: setting `base_url`: "), "{text}");
}

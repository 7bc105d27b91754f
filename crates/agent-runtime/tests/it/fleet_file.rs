//! The fleet file: what is read, and what is said of what cannot be.

use std::sync::Arc;

use agent_runtime::fleet::{Faults, Fleet, KeepRuns, StoreUri};
use runtime_traits::error::Cause;
use runtime_traits::resource::{Money, OnLimit};
use runtime_traits::store::Durability;
use runtime_traits::{Agent, AgentKind, AgentSpec, Name, SpecError};

/// A kind with the settings `documents` and `width`, of which the first is needed.
#[derive(Debug)]
struct Shelf;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ShelfConfig {
    documents: String,
    #[serde(default)]
    #[expect(dead_code, reason = "only its type matters")]
    width: u8,
}

impl AgentKind for Shelf {
    fn name(&self) -> Name {
        Name::new("shelf").expect("`shelf` is a name")
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        let agent = spec.name.to_string();
        let config: ShelfConfig = serde_json::from_str(spec.config.get())
            .map_err(|e| SpecError::Config { agent: agent.clone(), cause: Cause::of(&e) })?;
        if config.documents == "missing" {
            let cause = Cause::says("`documents` is `missing`, which does not exist: create it");
            return Err(SpecError::Config { agent, cause });
        }
        if config.documents == "locked: away" {
            // As a kind says it whose error has a source.
            let cause = Cause::says(
                "documents folder `locked: away` cannot be read: allow this process's user to read it, \
                 or set `documents` to another folder: Permission denied (os error 13)",
            );
            return Err(SpecError::Needs { agent, what: "its documents".to_owned(), cause });
        }
        Ok(())
    }

    fn build(&self, _: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        unreachable!("checking builds nothing")
    }
}

fn told(faults: &Faults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn checked(text: &str) -> Vec<String> {
    let kinds: [Arc<dyn AgentKind>; 1] = [Arc::new(Shelf)];
    Fleet::check(text, &kinds).map_or_else(|faults| told(&faults), |_| Vec::new())
}

#[test]
fn a_file_without_anything_is_a_fleet_without_agents_on_the_default_store() {
    let fleet = Fleet::parse("").unwrap();

    assert_eq!(fleet.store.to_string(), "redb:.agent-runtime/store.redb");
    assert_eq!(fleet.durability, None);
    assert_eq!(fleet.http, None);
    assert!(fleet.agents.is_empty());
}

#[test]
fn everything_that_a_file_says_is_read() {
    let fleet = Fleet::parse(
        r#"
        store = "redb:data/a.redb"
        durability = "process"

        [listen]
        http = "127.0.0.1:8000"

        [agents.zed]
        kind = "shelf"
        description = "Last by name, first in the file."
        documents = "docs"
        depth = { most = 3, of = [1, 2.5, true] }

        [agents.anna]
        kind = "shelf"
        start = false
        "#,
    )
    .unwrap();

    assert_eq!(fleet.store, StoreUri::Redb("data/a.redb".into()));
    assert_eq!(fleet.durability, Some(Durability::Process));
    assert_eq!(fleet.http.unwrap().to_string(), "127.0.0.1:8000");
    let [zed, anna] = &fleet.agents[..] else { panic!("two agents: {:?}", fleet.agents) };
    assert_eq!(zed.spec.name.as_str(), "zed");
    assert_eq!(zed.spec.kind.as_str(), "shelf");
    assert_eq!(zed.spec.description, "Last by name, first in the file.");
    let config: serde_json::Value = serde_json::from_str(zed.spec.config.get()).unwrap();
    let expected = serde_json::json!({ "documents": "docs", "depth": { "most": 3, "of": [1, 2.5, true] } });
    assert_eq!(config, expected);
    assert!(zed.start);
    assert!(!anna.start);
    assert_eq!(anna.spec.config.get(), "{}");
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_their_lines() {
    let text = r#"stor = "redb:a.redb"
durability = "disc"

[listen]
http = "127.0.0.1:80000"

[agents."a b"]
kind = "shelf"
documents = "docs"

[agents.reader]
kind = "shelv"

[agents.other]
kind = "shelf"
documents = "missing"
start = "yes"
"#;

    assert_eq!(
        checked(text),
        [
            "line 1, column 1: there is no setting `stor`; did you mean `store`?",
            "line 2, column 14: there is no durability `disc`; did you mean `disk`?",
            "line 5, column 8: `80000` is no port; use a number from 1 to 65535, or 0 for any free one",
            "line 7, column 9: `a b` is no name of an agent; use 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, \
             beginning with a letter or digit",
            "line 12, column 8: there is no kind `shelv`; did you mean `shelf`?",
            "line 16, column 13: `documents` is `missing`, which does not exist; create it",
            "line 17, column 9: `start` is a string; write true or false",
        ]
    );
}

#[test]
fn broken_toml_is_told_with_what_is_wrong_elsewhere() {
    let told = checked("store = \n\n[listen\nhttp = 1\n\n[agents.x]\nkind = \"shelv\"\n");

    assert!(told.iter().any(|fault| fault.starts_with("line 1, ")), "{told:#?}");
    assert!(told.iter().any(|fault| fault.starts_with("line 3, ")), "{told:#?}");
    assert!(told.iter().any(|fault| fault.contains("no kind `shelv`")), "{told:#?}");
}

#[test]
fn a_broken_line_is_told_once() {
    for line in ["= broken", "a b c", "documents = = 1", "[broken"] {
        let told = checked(&format!("[agents.x]\nkind = \"shelf\"\ndocuments = \"d\"\n{line}\n"));

        let of_the_line = told.iter().filter(|fault| fault.starts_with("line 4, ")).count();
        assert_eq!(of_the_line, 1, "{line}: {told:#?}");
    }
}

#[test]
fn what_the_system_said_is_not_taken_for_the_remedy() {
    assert_eq!(
        checked("[agents.x]\nkind = \"shelf\"\ndocuments = \"locked: away\"\n"),
        [
            "line 3, column 13: it needs its documents: documents folder `locked: away` cannot be read (Permission \
             denied (os error 13)); allow this process's user to read it, or set `documents` to another folder"
        ]
    );
    assert_eq!(
        checked("[agents.x]\nkind = \"shelf\"\ndocuments = 5\n"),
        ["line 1, column 9: invalid type: integer `5`; use a string"]
    );
}

#[test]
fn all_complaints_of_a_kind_are_told_where_their_settings_are() {
    let told = checked("[agents.x]\nkind = \"shelf\"\ndocumnts = \"docs\"\nwidth = 400\ncolour = \"red\"\n");

    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("line 3, column 1: unknown field `documnts`"), "{told:#?}");
    assert!(told[1].starts_with("line 5, column 1: unknown field `colour`"), "{told:#?}");
}

#[test]
fn a_setting_that_is_missing_is_told_at_the_agent() {
    assert_eq!(
        checked("[agents.x]\nkind = \"shelf\"\n"),
        ["line 1, column 9: missing field `documents`; change the agent's table"]
    );
}

#[test]
fn an_agent_without_a_kind_and_two_agents_of_one_name_are_told() {
    let told = checked(
        "[agents.Anna]\nkind = \"shelf\"\ndocuments = \"d\"\n[agents.anna]\nkind = \"shelf\"\ndocuments = \"d\"\n[agents.bob]\n",
    );

    assert_eq!(
        told,
        [
            "line 4, column 9: `anna` and `Anna` are one name; names differ in more than case; choose another",
            "line 7, column 9: agent `bob` has no kind; add kind = \"librarian\", or another kind",
        ]
    );
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    let http = |address: &str| {
        let text = format!("[listen]\nhttp = \"{address}\"\n");
        Fleet::parse(&text).map(|fleet| fleet.http.unwrap().to_string()).map_err(|f| told(&f))
    };

    assert_eq!(http("localhost:8000").unwrap(), "127.0.0.1:8000");
    assert_eq!(http("[::1]:0").unwrap(), "[::1]:0");
    assert!(http("0.0.0.0:8000").unwrap_err()[0].contains("let a proxy"));
    assert!(http("8000").unwrap_err()[0].contains("`8000` has no port"));
    assert!(http("example.org:80").unwrap_err()[0].contains("`example.org` is no IP address"));
}

#[test]
fn a_store_that_is_none_is_told_with_what_was_meant() {
    let remedy = |uri: &str| uri.parse::<StoreUri>().unwrap_err().remedy().to_owned();

    assert_eq!(remedy("redbb:x"), "did you mean `redb:x`?");
    assert_eq!(remedy("a.redb"), "did you mean `redb:a.redb`?");
    assert_eq!(remedy("redb:"), "a path is missing; write \"redb:PATH\"");
    assert_eq!(remedy("sled:"), "a path is missing; write \"sled:PATH\"");
    assert_eq!(remedy("slet:x"), "did you mean `sled:x`?");
    assert_eq!(remedy("floppy:a"), "use \"redb:PATH\", \"sled:PATH\", \"redis://HOST\" or \"memory:\"");
    let sled: StoreUri = "sled:data".parse().unwrap();
    assert_eq!(
        (sled.to_string(), sled.below("/srv").to_string()),
        ("sled:data".into(), "sled:/srv/data".into())
    );
    let redis: StoreUri = "redis://ann:secret@host/1".parse().unwrap();
    assert!(!format!("{redis} {redis:?}").contains("secret"));
    assert_eq!(redis.address(), "redis://ann:secret@host/1", "who opens it needs all of it");
    let tls = "rediss://ann:secret@host/1".parse::<StoreUri>().unwrap_err();
    assert_eq!(tls.to_string(), "no store `rediss://…@host/1`: did you mean `redis://…@host/1`?");
}

#[test]
fn an_encrypted_store_names_its_keys_and_never_shows_one() {
    let read = |uri: &str| uri.parse::<StoreUri>().unwrap();
    let uri = read("encrypted:file:store.keys,redb:data/a,b.redb");
    assert_eq!(
        uri.below("/srv/a,b").to_string(),
        "encrypted:file:/srv/a,b/store.keys,redb:/srv/a,b/data/a,b.redb"
    );
    assert_eq!(read(&uri.below("/srv/a,b").to_string()), uri.below("/srv/a,b"));
    assert_eq!(uri.path().unwrap().to_str(), Some("data/a,b.redb"));
    assert!(!uri.is_in_memory());
    assert!(read("encrypted:env:KEYS,memory:").is_in_memory());
    assert_eq!(read("encrypted:env:KEYS,redb:a").below("/srv").to_string(), "encrypted:env:KEYS,redb:/srv/a");

    let told = |uri: &str| uri.parse::<StoreUri>().unwrap_err().to_string();
    for uri in ["encrypted:5e5e5e,redb:a", "encrypted:5e5e5e", "encrypted:file:,redb:a"] {
        let remedy = "write \"encrypted:KEYS,STORE\", with \"file:PATH\" or \"env:NAME\" for KEYS";
        assert_eq!(told(uri), format!("no store `encrypted:…`: {remedy}"));
    }
    assert!(told("encrypted:env:A,encrypted:env:B,redb:a").contains("encrypt it once"));
    assert!(told("encrypted:env:A,redbb:a").contains("did you mean `redb:a`?"));
    let fault = &checked("store = \"encrypted:5e5e5e,redb:a\"\n")[0];
    assert!(fault.starts_with("line 1, column 9: no store `encrypted:…`; write"), "{fault}");
    assert!(!fault.contains("5e5e"), "{fault}");
}

#[test]
fn more_than_memory_can_keep_is_not_asked_of_it() {
    assert_eq!(
        checked("durability = \"disk\"\nstore = \"memory:\"\n"),
        [
            "line 1, column 14: a store in memory ends with its process; write \"memory\", or choose a store on \
         disk: store = \"redb:PATH\""
        ]
    );
    assert!(checked("durability = \"memory\"\nstore = \"memory:\"\n").is_empty());
}

#[test]
fn columns_count_characters_and_not_bytes() {
    let told = checked("\"äöü\" = 1\nx = \"ä\" # ü\n  \"ß\" = 2\n");

    assert!(told[0].starts_with("line 1, column 1: there is no setting `äöü`"), "{told:#?}");
    assert!(told[2].starts_with("line 3, column 3: "), "{told:#?}");
}

#[test]
fn how_long_and_how_much_is_kept_is_read_and_faults_are_told() {
    let fleet = Fleet::parse(
        "keep_runs = \"7d\"\n[agents.a]\nkind = \"shelf\"\nstorage = { hard = \"2 GiB\", session_soft = 4096 }\n",
    );
    let fleet = fleet.expect("a good file");
    assert_eq!(fleet.keep_runs, Some(KeepRuns::For(std::time::Duration::from_secs(7 * 86_400))));
    let storage = fleet.agents[0].spec.storage;
    assert_eq!((storage.hard, storage.session_soft, storage.soft), (Some(2 << 30), Some(4096), None));
    assert_eq!(Fleet::parse("keep_runs = \"forever\"").unwrap().keep_runs, Some(KeepRuns::Forever));

    let wrong = "keep_runs = \"a while\"\n[agents.a]\nkind = \"shelf\"\nstorage = { hard = \"much\", sof = 1 }\n\
                 [agents.b]\nkind = \"shelf\"\nstorage = { hard = 1, soft = 2 }\n";
    let faults = told(&Fleet::parse(wrong).expect_err("it has faults"));
    let said = faults.join("\n");
    for part in [
        "`keep_runs` is no time",
        "`hard` is no size: much",
        "no setting `sof`; did you mean `soft`",
        "`storage.soft` is above `storage.hard`",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
}

#[test]
fn limits_prices_and_quotas_are_read_and_faults_are_told() {
    let fleet = Fleet::parse(
        r#"
        limits = { max_cost_per_day = "20.00" }
        [prices]
        "openai/gpt-4o" = { input = "2.50", output = "10" }
        [quotas]
        "openai/*" = { requests_per_minute = 600, tokens_per_minute = 100000 }
        [agents.a]
        kind = "shelf"
        limits = { max_tokens_per_minute = 1000, max_cost_per_run = "0.25", on_limit = "refuse" }
        "#,
    );
    let fleet = fleet.expect("a good file");
    let limits = fleet.agents[0].spec.limits;
    assert_eq!((limits.max_tokens_per_minute, limits.on_limit), (Some(1_000), OnLimit::Refuse));
    assert_eq!(limits.max_cost_per_run, Some(Money::from_micros(250_000)));
    assert_eq!(fleet.limits.max_cost_per_day, Some(Money::from_micros(20_000_000)));
    assert_eq!(
        fleet.prices.of("openai/gpt-4o").map(|price| price.input),
        Some(Money::from_micros(2_500_000))
    );
    assert_eq!(fleet.quotas[0].requests_per_minute, Some(600));
    assert_eq!(fleet.quotas[0].models, ["openai/*"]);

    let wrong = r#"
        limits = { max_memory_mb = 5 }
        [prices]
        "gpt-4o" = { input = "2.50", output = "10" }
        "a/b" = { input = 2.5, output = "x", inputs = "1" }
        "a/c" = { input = "1" }
        [quotas]
        "a/*" = { requests_per_minute = 0, request_per_minute = 1 }
        "claude" = { requests_per_minute = 1 }
        "b/*" = {}
        [agents.a]
        kind = "shelf"
        limits = { max_tokens_per_minut = 1, max_queued = -1, max_cost_per_day = 5, on_limit = "stop" }
        [agents.b]
        kind = "shelf"
        limits = { max_tokens_total = 0 }
        [agents.c]
        kind = "shelf"
        limits = { max_tokens_per_run = 9, max_tokens_total = 8 }
        "#;
    let said = told(&Fleet::parse(wrong).expect_err("it has faults")).join("\n");
    for part in [
        "`limits` has no setting `max_memory_mb`",
        "`gpt-4o` is no name of a model",
        "`input` is a float; write US dollars in quotation marks",
        "`x` is no amount of US dollars",
        "a price has no setting `inputs`; did you mean `input`?",
        "the price of `a/c` is not whole",
        "`requests_per_minute` is no number of them",
        "`claude` is no name of a model; write it as the agent does",
        "the quota of `b/*` limits nothing; give it `requests_per_minute`",
        "a quota has no setting `request_per_minute`; did you mean `requests_per_minute`?",
        "`limits` has no setting `max_tokens_per_minut`; did you mean `max_tokens_per_minute`?",
        "`max_queued` is -1; write a whole number",
        "`max_cost_per_day` is 5; write US dollars",
        "`on_limit` is `stop`; write \"wait\" or \"refuse\"",
        "`max_tokens_total` is 0",
        "`max_tokens_per_run` is more than `max_tokens_total`",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
}

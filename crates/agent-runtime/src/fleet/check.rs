//! What the kinds say of a fleet's agents.

use std::sync::Arc;

use runtime_traits::{AgentKind, AgentSpec, SpecError};

use super::fault::{Fault, Faults};
use super::read_quotas::unused;
use super::suggest::instead;
use super::{Fleet, FleetAgent, read};

impl Fleet {
    /// Reads the text of a fleet file, and asks each agent's kind whether it could build the agent.
    ///
    /// # Errors
    /// [`Faults`]: everything that is wrong with the text or that a kind objects to, at once.
    pub fn check(text: &str, kinds: &[Arc<dyn AgentKind>]) -> Result<Self, Faults> {
        let mut read = read::read(text);
        let mut objections = Vec::new();
        for agent in &read.fleet.agents {
            agent.ask(text, kinds, &mut objections);
        }
        unused(text, &read.credentials, &read.fleet.agents, kinds, &mut objections);
        read.add(objections);
        Faults::of(read.faults).map_or(Ok(read.fleet), Err)
    }
}

impl FleetAgent {
    fn ask(&self, source: &str, kinds: &[Arc<dyn AgentKind>], faults: &mut Vec<Fault>) {
        let Some(kind) = kinds.iter().find(|kind| kind.name() == self.spec.kind) else {
            let names: Vec<String> = kinds.iter().map(|kind| kind.name().to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let what = format!("there is no kind `{}`", self.spec.kind);
            let remedy = instead(self.spec.kind.as_str(), &names);
            faults.push(Fault::at(source, &self.place("kind").1, what, remedy));
            return;
        };
        // A kind tells one fault at a time. What it objects to is taken out before it is asked again, so that the
        // user hears of all of them; but a complaint that no setting causes ends it: what is missing may have been
        // taken out, or be there under the mistyped name.
        let mut spec = self.spec.clone();
        for first in (0..=self.settings.len()).map(|round| round == 0) {
            let Err(error) = kind.check(&spec) else {
                return;
            };
            let (what, remedy) = sentence(&error);
            let culprit = self.culprit(&spec, &format!("{what} {remedy}"));
            let Some(setting) = &culprit else {
                if first {
                    faults.push(Fault::at(source, &self.at, what, remedy));
                }
                return;
            };
            let (key, value) = self.place(setting);
            let span = if what.contains("unknown") { key } else { value };
            faults.push(Fault::at(source, &span, what, remedy));
            let Some(without) = without(&spec, setting) else {
                return;
            };
            spec = without;
        }
    }

    fn place(&self, setting: &str) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        self.settings.get(setting).cloned().unwrap_or((self.at.clone(), self.at.clone()))
    }

    /// The setting that a complaint names, among those that the kind was given.
    fn culprit(&self, spec: &AgentSpec, said: &str) -> Option<String> {
        let config = settings_of(spec)?;
        // Every second piece between backticks is quoted.
        let quoted = said.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).find(|word| config.contains_key(word))
    }
}

/// What a kind objects to, and what it tells the user to do.
fn sentence(error: &SpecError) -> (String, String) {
    let (needs, said) = match error {
        SpecError::Config { cause, .. } => (String::new(), cause.to_string()),
        SpecError::Needs { what, cause, .. } => (format!("it needs {what}: "), cause.to_string()),
    };
    // A place in the JSON that a kind is given is no place in the file.
    let said = said.split(" at line ").next().unwrap_or_default();
    let (what, remedy) = if let Some((what, remedy)) = said.rsplit_once("; ") {
        (what.to_owned(), remedy.to_owned())
    } else if let Some((what, expected)) = said.split_once(", expected ") {
        (what.to_owned(), format!("use {expected}"))
    } else {
        match &clauses(said)[..] {
            [what] => ((*what).to_owned(), "change the agent's table".to_owned()),
            [what, remedy] => ((*what).to_owned(), (*remedy).to_owned()),
            // What the system said comes last, and is no remedy.
            [what, remedy, causes @ ..] => (format!("{what} ({})", causes.join(": ")), (*remedy).to_owned()),
            [] => (String::new(), String::new()),
        }
    };
    (format!("{needs}{what}"), remedy)
}

/// The clauses of a sentence, as `: ` divides them; what is quoted stays whole.
fn clauses(said: &str) -> Vec<&str> {
    let mut clauses = Vec::new();
    let mut begin = 0;
    for (at, separator) in said.match_indices(": ") {
        if said[begin..at].matches('`').count().is_multiple_of(2) {
            clauses.push(&said[begin..at]);
            begin = at + separator.len();
        }
    }
    clauses.push(&said[begin..]);
    clauses
}

fn settings_of(spec: &AgentSpec) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(spec.config.get()).ok()
}

fn without(spec: &AgentSpec, setting: &str) -> Option<AgentSpec> {
    // The others stay in their order, whatever order the map keeps: a kind objects to the first first.
    let rest = settings_of(spec)?.into_iter().filter(|(name, _)| name != setting);
    spec.clone().configured(&rest.collect::<serde_json::Map<_, _>>()).ok()
}

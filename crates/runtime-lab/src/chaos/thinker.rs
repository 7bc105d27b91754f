//! Agents with models that play talks. Every call of a model and of a tool is counted outside, by the process that kills
//! this one.

mod speaker;
mod tool;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_runtime::{LlmAgent, LlmAgentError, Retrying};
use async_trait::async_trait;
use runtime_traits::agent::FenceMark;
use runtime_traits::{Agent, AgentError, AgentKind, AgentSpec, Cause, Content, Ctx, Name, RunId, SpecError};

use super::effects::Witness;
use super::script::Sort;
use super::talk::{HEIR, HELPER, RETRIES, Talk};
use speaker::Speaker;
use tool::DeedTool;

/// The name of the kind.
pub(super) const KIND: &str = "thinking";

/// How many messages of its conversation an agent is shown: fewer than there are in most.
const WINDOW: usize = 24;

/// Builds agents with models that play talks.
#[derive(Debug)]
pub(super) struct Thinking {
    stage: Arc<Stage>,
}

/// What models and tools know of the process they are in.
#[derive(Debug)]
struct Stage {
    witness: Arc<Witness>,
    /// Which run plays a talk. Models are not told.
    runs: Mutex<HashMap<String, (RunId, FenceMark)>>,
    /// How often a model was asked for a turn of a talk.
    asked: Mutex<HashMap<(String, usize), u32>>,
}

#[derive(Debug)]
struct Thinker {
    spec: AgentSpec,
    agent: LlmAgent,
    stage: Arc<Stage>,
}

impl Thinking {
    pub(super) fn new(witness: Arc<Witness>) -> Self {
        Self { stage: Arc::new(Stage { witness, runs: Mutex::default(), asked: Mutex::default() }) }
    }

    fn agent(&self, spec: &AgentSpec) -> Result<LlmAgent, LlmAgentError> {
        let model = Retrying::new(Speaker { stage: Arc::clone(&self.stage) }, RETRIES);
        let model = model.waits(Duration::from_millis(5), Duration::from_millis(10));
        let mut agent = LlmAgent::new(spec.name.as_str(), model).window(WINDOW).asks_people();
        for sort in [Sort::Pure, Sort::Repeatable, Sort::Idempotent, Sort::Fleeting, Sort::AtMostOnce] {
            agent = agent.tool(DeedTool::new(sort, Arc::clone(&self.stage)));
        }
        if ![HELPER, HEIR].contains(&spec.name.as_str()) {
            agent = agent.calls(HELPER, "something").hand_off_to(HEIR);
        }
        agent.build()
    }
}

impl Stage {
    /// Notes which run plays a talk.
    fn enter(&self, talk: &Talk, ctx: &Ctx) {
        let facts = ctx.facts();
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.insert(talk.talk.clone(), (facts.run, facts.fence));
    }

    /// The run that plays a talk, and its attempt.
    fn run_of(&self, talk: &str) -> Option<(RunId, FenceMark)> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(talk).copied()
    }

    /// Counts that a model is asked for a turn: 1 for the first time in this process.
    fn ask(&self, talk: &str, turn: usize) -> u32 {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry((talk.to_owned(), turn)).or_default();
        *times += 1;
        *times
    }
}

impl AgentKind for Thinking {
    fn name(&self) -> Name {
        Name::new(KIND).expect("it is a lower-case word")
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        self.build(spec).map(drop)
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        let agent = self
            .agent(spec)
            .map_err(|error| SpecError::Config { agent: spec.name.to_string(), cause: Cause::of(&error) })?;
        Ok(Arc::new(Thinker { spec: spec.clone(), agent, stage: Arc::clone(&self.stage) }))
    }
}

#[async_trait]
impl Agent for Thinker {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    fn remembers(&self) -> usize {
        self.agent.remembers()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        self.stage.enter(&input.parse()?, &ctx);
        self.agent.run(ctx, input).await
    }
}

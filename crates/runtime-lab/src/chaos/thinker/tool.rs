//! The tools: what they do follows from what they are told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, StepCall, Tool};

use super::Stage;
use crate::chaos::effects::Begun;
use crate::chaos::script::Sort;
use crate::chaos::talk::{Order, call_step};

/// How long a call may take: many times as long as any takes, and short beside a campaign, for the next dispatch of a step
/// that may be repeated waits until the one before is over.
const WITHIN: Duration = Duration::from_secs(1);

/// A tool that does deeds of one sort.
#[derive(Debug)]
pub(super) struct DeedTool {
    spec: ToolSpec,
    sort: Sort,
    stage: Arc<Stage>,
}

impl DeedTool {
    pub(super) fn new(sort: Sort, stage: Arc<Stage>) -> Self {
        let parameters = r#"{"type": "object", "required": ["talk", "turn", "call", "deed"]}"#;
        let parameters = serde_json::value::RawValue::from_string(parameters.to_owned());
        let spec = ToolSpec {
            name: sort.tool().to_owned(),
            description: "Does what it is told.".to_owned(),
            parameters: parameters.expect("the text above is JSON").into(),
        };
        Self { spec, sort, stage }
    }
}

#[async_trait]
impl Tool for DeedTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn effect(&self) -> Effect {
        self.sort.effect()
    }

    fn within(&self) -> Duration {
        WITHIN
    }

    fn needs_approval(&self, arguments: &str) -> bool {
        serde_json::from_str::<Order>(arguments).is_ok_and(|order| order.deed.consent)
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        let order: Order = serde_json::from_str(arguments)?;
        let (run, _) =
            self.stage.run_of(&order.talk).ok_or_else(|| AgentError::says("no run plays this talk here"))?;
        let fence = call.fence();
        let begun = Begun {
            life: self.stage.witness.life(),
            run,
            key: call_step(order.turn, order.call, self.sort.tool()),
            try_no: call.try_no(),
            attempt: fence.attempt,
            epoch: fence.epoch,
            idempotency_key: call.idempotency_key(),
        };
        let under_way = self.stage.witness.begin(&begun).await?;
        tokio::time::sleep(Duration::from_millis(order.deed.millis)).await;
        under_way.end().await?;
        order.said().map_err(AgentError::says)
    }
}

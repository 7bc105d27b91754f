//! The model: what it says follows from the conversation that it is sent.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::model::{ChatMessage, Deltas, ModelReply, TokenUsage, ToolCall};
use runtime_traits::{Cause, Model, ModelError, ModelRequest};

use super::Stage;
use crate::chaos::effects::Begun;
use crate::chaos::talk::{Order, Talk, Wish};

/// The model.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) stage: Arc<Stage>,
}

/// Finds the talk that a conversation is about now, and which turn is next: 1 for the first.
fn place(messages: &[ChatMessage]) -> Option<(Talk, usize)> {
    let (at, talk) = messages.iter().enumerate().rev().find_map(|(at, message)| match message {
        ChatMessage::User(text) => serde_json::from_str::<Talk>(text).ok().map(|talk| (at, talk)),
        ChatMessage::Assistant { .. } | ChatMessage::Tool { .. } => None,
    })?;
    let spoke = |message: &&ChatMessage| matches!(message, ChatMessage::Assistant { .. });
    Some((talk, messages[at..].iter().filter(spoke).count() + 1))
}

/// The arguments of a call, as the model writes them.
fn arguments(talk: &Talk, turn: usize, call: usize, wish: &Wish) -> serde_json::Result<String> {
    let text = |field: &str, text: String| serde_json::to_string(&serde_json::json!({ field: text }));
    match wish {
        Wish::Do(deed) => {
            serde_json::to_string(&Order { talk: talk.talk.clone(), turn, call, deed: deed.clone() })
        }
        Wish::Ask(asked) => text("input", serde_json::to_string(asked)?),
        Wish::HandOff(asked) => text("message", serde_json::to_string(asked)?),
        Wish::Person => text("question", format!("call {call} of turn {turn} of {}", talk.talk)),
        Wish::Nonsense => Ok("{\"nothing\": ".to_owned()),
    }
}

impl Speaker {
    fn refused(&self, said: impl Into<String>) -> ModelError {
        ModelError::Refused { model: self.name().to_owned(), status: 400, said: said.into() }
    }

    async fn speak(
        &self,
        talk: &Talk,
        turn: usize,
        deltas: &dyn Deltas,
    ) -> Result<ModelReply, Box<dyn std::error::Error + Send + Sync>> {
        let said = talk.turns.get(turn - 1).ok_or("its talk is over")?;
        let (run, fence) = self.stage.run_of(&talk.talk).ok_or("no run plays this talk here")?;
        let times = self.stage.ask(&talk.talk, turn);
        let begun = Begun {
            life: self.stage.witness.life(),
            run,
            key: Talk::model_step(turn),
            try_no: 0,
            attempt: fence.attempt,
            epoch: fence.epoch,
            idempotency_key: String::new(),
        };
        let under_way = self.stage.witness.begin(&begun).await?;
        deltas.text("so ");
        tokio::time::sleep(Duration::from_millis(said.millis)).await;
        if times <= said.stumbles {
            let cut = ModelError::Cut { model: self.name().to_owned(), cause: Cause::says("it stumbles") };
            return Err(Box::new(cut));
        }
        let calls = said.calls.iter().enumerate().map(|(call, wish)| {
            // As unreliable as those of some providers.
            let id = "same".to_owned();
            Ok(ToolCall { id, name: wish.tool(), arguments: arguments(talk, turn, call, wish)? })
        });
        let calls = calls.collect::<serde_json::Result<_>>()?;
        under_way.end().await?;
        let usage = Some(TokenUsage { input: 10, output: 5 });
        Ok(ModelReply { text: talk.text(turn), calls, usage, ..ModelReply::default() })
    }
}

#[async_trait]
impl Model for Speaker {
    fn name(&self) -> &str {
        "lab/speaker"
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let (talk, turn) =
            place(&request.messages).ok_or_else(|| self.refused("no talk is in the conversation"))?;
        self.speak(&talk, turn, deltas).await.map_err(|error| match error.downcast::<ModelError>() {
            Ok(error) => *error,
            Err(error) => self.refused(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use runtime_traits::model::ChatMessage;

    use super::place;
    use crate::chaos::talk::{Talk, draw};

    #[test]
    fn the_model_finds_its_place_in_the_conversation() {
        let user = |talk: &Talk| ChatMessage::User(serde_json::to_string(talk).unwrap());
        let said = |text: &str| ChatMessage::Assistant { text: text.into(), calls: Vec::new(), state: None };
        let (before, now) = (draw(1, 4), draw(1, 5));

        let mut sent = vec![user(&before), said("a last word"), user(&now)];
        assert_eq!(place(&sent), Some((now.clone(), 1)));
        sent.extend([said("turn 1"), ChatMessage::Tool { call: "call_1".into(), text: "done".into() }]);
        sent.push(ChatMessage::User("The result of an earlier call".into()));
        assert_eq!(place(&sent), Some((now, 2)));
        assert_eq!(place(&sent[1..2]), None);
    }
}

//! Groups whose slots are dealt to processes, by a script in the server and its clock.

use async_trait::async_trait;
use redis::Value;
use runtime_codec::{CursorRecord, decode, encode};
use runtime_traits::bus::BusError;

use super::journal::{RedisJournal, strange_subscription};
use super::keys;
use super::scripts::Script;
use crate::journal::{CursorName, Dealt, Round, Sharing};

/// Into how many slots the sources of a topic are dealt. Records lie under these numbers: it stays as it is.
const SLOTS: u16 = 16;

#[async_trait]
impl Sharing for RedisJournal {
    fn slots(&self) -> u16 {
        SLOTS
    }

    async fn kept(&self, name: &CursorName) -> Result<Option<CursorRecord>, BusError> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(keys::cursor(name)).arg("record");
        match self.link.command::<Value>(&cmd).await? {
            Value::BulkString(record) => read(name, &record).map(Some),
            _ => Ok(None),
        }
    }

    async fn found(&self, name: &CursorName, record: &CursorRecord) -> Result<CursorRecord, BusError> {
        let keys = [keys::cursor(name), keys::siblings(name)];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (bytes, done) = (encode(record), record.done.to_string());
        let args: [&[u8]; 3] = [&bytes, done.as_bytes(), name.name.as_str().as_bytes()];
        match self.link.script::<Value>(Script::Found, &keys, &args).await? {
            Value::BulkString(record) => read(name, &record),
            _ => Err(strange_subscription(name)),
        }
    }

    fn new_token(&self) -> String {
        self.token()
    }

    async fn deal(&self, name: &CursorName, token: &str, round: &Round) -> Result<Dealt, BusError> {
        let keys = [keys::lease(name), keys::cursor(name), keys::share(name)];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut args = vec![
            token.as_bytes().to_vec(),
            self.lease.as_millis().to_string().into_bytes(),
            SLOTS.to_string().into_bytes(),
            if round.stays { b"stay".to_vec() } else { b"leave".to_vec() },
        ];
        for holding in &round.held {
            args.push(holding.slot.to_string().into_bytes());
            let act: &[u8] = match &holding.record {
                Some(_) if holding.given_back => b"give",
                Some(_) => b"save",
                None => b"keep",
            };
            args.push(act.to_vec());
            args.push(holding.record.as_ref().map_or_else(Vec::new, |record| encode(record).to_vec()));
            let done = holding.record.as_ref().map_or(0, |record| record.done);
            args.push(done.to_string().into_bytes());
        }
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let (part, mine): (usize, Vec<Value>) = self.link.script(Script::Deal, &keys, &args).await?;
        let mut dealt = Dealt { part, mine: Vec::with_capacity(mine.len() / 2) };
        for pair in mine.chunks(2) {
            let [Value::Int(slot), Value::BulkString(record)] = pair else {
                return Err(strange_subscription(name));
            };
            let slot = u8::try_from(*slot).map_err(|_| strange_subscription(name))?;
            let record = if record.is_empty() { None } else { Some(read(name, record)?) };
            dealt.mine.push((slot, record));
        }
        Ok(dealt)
    }
}

fn read(name: &CursorName, record: &[u8]) -> Result<CursorRecord, BusError> {
    decode(record).map_err(|error| name.damaged(&error))
}

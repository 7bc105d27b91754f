//! What somebody writes who uses the client library alone: one stream, and consumer groups.

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::task::JoinSet;

use super::redis_events::{GROUPS, ON_THE_WAY};
use super::template::Template;
use crate::figures::error::FiguresError;
use crate::figures::load::all;
use crate::figures::watch::Stopwatch;

const STREAM: &str = "raw";
const BLOCK: usize = 256;

/// Deliveries per second, from the first entry until all groups have acknowledged the last.
pub(super) async fn deliver(uri: &str, events: u64) -> Result<f64, FiguresError> {
    let client = Arc::new(Client::open(uri).map_err(odd)?);
    let mut writer = connect(&client).await?;
    for nth in 0..GROUPS {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(STREAM).arg(format!("group-{nth}")).arg("0").arg("MKSTREAM");
        create.query_async::<()>(&mut writer).await.map_err(odd)?;
    }
    let mut reading = JoinSet::new();
    for nth in 0..GROUPS {
        let connection = connect(&client).await?;
        reading.spawn(read(connection, format!("group-{nth}"), events));
    }
    let mut template = Template::new("figures/redis")?;
    let watch = Stopwatch::start();
    let mut on_the_way = FuturesUnordered::new();
    for _ in 0..events {
        if on_the_way.len() == ON_THE_WAY
            && let Some(written) = on_the_way.next().await
        {
            written?;
        }
        let entry = runtime_codec::encode_event(runtime_traits::UnixMillis(0), &template.next());
        on_the_way.push(write(writer.clone(), entry));
    }
    while let Some(written) = on_the_way.next().await {
        written?;
    }
    let delivered = all(reading).await?.into_iter().sum();
    Ok(watch.per_second(delivered))
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, FiguresError> {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(odd)
}

async fn write(mut connection: MultiplexedConnection, entry: bytes::Bytes) -> Result<(), FiguresError> {
    let mut add = redis::cmd("XADD");
    add.arg(STREAM).arg("*").arg("e").arg(&entry[..]);
    add.query_async::<()>(&mut connection).await.map_err(odd)
}

async fn read(
    mut connection: MultiplexedConnection,
    group: String,
    events: u64,
) -> Result<u64, FiguresError> {
    let mut count = 0;
    while count < events {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&group).arg("one").arg("COUNT").arg(BLOCK).arg("BLOCK").arg(1_000);
        read.arg("STREAMS").arg(STREAM).arg(">");
        let reply: Option<StreamReadReply> = read.query_async(&mut connection).await.map_err(odd)?;
        let Some(reply) = reply else { continue };
        let mut ack = redis::cmd("XACK");
        ack.arg(STREAM).arg(&group);
        for entry in reply.keys.iter().flat_map(|key| &key.ids) {
            let bytes = entry.map.get("e");
            let bytes: Option<Vec<u8>> = bytes.and_then(|value| redis::from_redis_value_ref(value).ok());
            // Whoever reads an event reads what it says.
            let event = bytes.and_then(|bytes| runtime_codec::decode_event(&bytes).ok());
            if event.is_none() {
                return Err(FiguresError::Unexpected("an entry is no event".to_owned()));
            }
            ack.arg(&entry.id);
            count += 1;
        }
        ack.query_async::<()>(&mut connection).await.map_err(odd)?;
    }
    Ok(count)
}

fn odd(error: RedisError) -> FiguresError {
    FiguresError::Unexpected(error.to_string())
}

//! An agent as a standalone service: `POST /run`, `GET /health`, `GET /status`.
//!
//! ```text
//! cargo run -p examples --example agent_service
//! ```
//!
//! It asks itself once over HTTP, so that it comes to an end.

use std::error::Error;
use std::net::SocketAddr;

use agent_runtime::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Create a service from an agent.
    let service = AgentService::new(Librarian::new("docs"));

    // Start the service. Port 0 is any free one.
    let serving = service.start(0).await?;
    let address = serving.address();
    println!("listening on http://{address}\n");

    println!("GET /health\n{}\n", ask(address, "GET /health", "").await?);
    let question = r#"{"input": "What survives a crash?"}"#;
    println!("POST /run {question}\n{}\n", ask(address, "POST /run", question).await?);

    serving.stop().await?;
    println!("stopped");
    Ok(())
}

/// One request over HTTP, and the body of its answer. An HTTP client does it better; this one needs no crate.
async fn ask(address: SocketAddr, what: &str, body: &str) -> Result<String, Box<dyn Error>> {
    let mut connection = TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{what} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no body")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(answer.into());
    }
    Ok(body.to_owned())
}

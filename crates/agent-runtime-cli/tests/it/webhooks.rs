//! `agent-runtime webhooks`, and the webhooks of a server that is killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::home::{FLEET, Home};
use crate::server::Server;

const LONG: Duration = Duration::from_secs(30);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A delivery as it came.
#[derive(Debug)]
struct Got {
    id: String,
    timestamp: String,
    signature: String,
    text: String,
}

/// A receiver on this machine: it answers with its status, or not at all where that is 0.
struct Hook {
    port: u16,
    status: Arc<AtomicU16>,
    got: Receiver<Got>,
}

impl Hook {
    fn says(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let status = Arc::new(AtomicU16::new(status));
        let (sender, got) = sync_channel(64);
        let answers = Arc::clone(&status);
        // It ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, sender) = (Arc::clone(&answers), sender.clone());
                thread::spawn(move || serve(stream, &answers, &sender));
            }
        });
        Self { port, status, got }
    }

    fn now_says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    #[track_caller]
    fn next(&self) -> Got {
        self.got.recv_timeout(LONG).expect("a delivery comes")
    }

    /// A home whose librarian's runs are told here, at most so many times.
    fn home(&self, attempts: u32) -> Home {
        let home = Home::new();
        home.write("secret", SECRET);
        let port = self.port;
        let hook = format!(
            "[[webhooks]]\nname = \"hook\"\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret = \"file:secret\"\n\
             allow_private = true\nattempts = {attempts}\nfirst_pause = \"1s\"\n"
        );
        home.write("fleet.toml", &format!("{FLEET}\n{hook}"));
        home
    }
}

fn serve(mut stream: TcpStream, status: &AtomicU16, sender: &SyncSender<Got>) {
    while let Some(got) = read(&stream) {
        let status = status.load(Ordering::SeqCst);
        if sender.send(got).is_err() {
            return;
        }
        if status == 0 {
            // Until the other side has gone.
            drop(stream.read(&mut [0]));
            return;
        }
        if write!(stream, "HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn read(stream: &TcpStream) -> Option<Got> {
    let mut reader = BufReader::new(stream);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Got {
        id: header("webhook-id")?,
        timestamp: header("webhook-timestamp")?,
        signature: header("webhook-signature")?,
        text: String::from_utf8(body).ok()?,
    })
}

fn stands(home: &Home, is_so: impl Fn(&Value) -> bool) -> Value {
    home.until(&["webhooks"], |list| is_so(&list[0]))[0].clone()
}

#[test]
fn a_delivery_that_was_under_way_when_the_server_was_killed_comes_again_with_its_id() {
    let hook = Hook::says(0);
    let home = hook.home(5);
    let server = Server::start(&home, &[]);
    assert_eq!(server.ready["webhooks"][0], "hook");
    home.good(&["run", "librarian", "When does a lease end?"]);
    let first = hook.next();
    server.kill();

    hook.now_says(204);
    let mut server = Server::start(&home, &[]);
    let again = hook.next();
    assert_eq!((&again.id, &again.text), (&first.id, &first.text));
    let told = stands(&home, |line| !line["state"]["taken_at"].is_null());
    assert_eq!((&told["dead"], &told["state"]["waiting"]), (&0.into(), &0.into()));
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    assert!(hook.got.try_recv().is_err(), "it was told once more");
}

#[test]
fn deliveries_in_vain_are_shown_and_sent_again_and_a_ping_says_whether_it_works() {
    let hook = Hook::says(400);
    let home = hook.home(1);
    let _server = Server::start(&home, &[]);
    home.good(&["run", "librarian", "When does a lease end?"]);
    let first = hook.next();
    let told = stands(&home, |line| line["dead"] == 1);
    assert_eq!(told["webhook"], "hook");
    let dead = home.json(&["webhooks", "dead", "hook"]);
    assert_eq!(dead[0]["event"]["deadcause"], "it answers with status 400 (tried 1 times)");
    home.run(&["webhooks", "test", "hook"]).is(1, &[]);
    assert!(hook.next().text.contains("webhook.ping"));

    hook.now_says(200);
    assert_eq!(home.json(&["webhooks", "requeue", "hook", "--all"])["sent"], 1);
    let again = hook.next();
    assert_eq!((&again.id, &again.text), (&first.id, &first.text));
    stands(&home, |line| line["dead"] == 0 && line["state"]["failures"] == 0);
    assert!(home.good(&["webhooks", "test", "hook"]).contains("took a ping"));
    home.run(&["webhooks", "dead", "other"]).is(3, &["`other`", "`hook`"]);
}

#[test]
fn what_is_wrong_with_a_webhook_is_told_with_its_line() {
    let hook = Hook::says(200);
    let home = hook.home(1);
    assert_eq!(home.run(&["check"]).code, 0);
    home.run(&["webhooks", "test", "hook"]).is(4, &["nobody serves"]);
    home.write("secret", "swordfish");
    let refused = home.run(&["check"]);
    refused.is(2, &["`hook`", "whsec_", "base64"]);
    assert!(!refused.err.contains("swordfish"));
    home.run(&["serve"]).is(2, &["`hook`", "whsec_"]);

    let fleet = |webhook: &str| home.write("fleet.toml", &format!("{FLEET}\n[[webhooks]]\n{webhook}"));
    fleet("name = \"hook\"\nurl = \"https://169.254.169.254/\"\nsecret = \"env:X\"\n");
    let told = home.run(&["check"]);
    assert_eq!(told.code, 2);
    assert!(told.out.contains("169.254.169.254 is link-local") && told.out.contains("url ="), "{}", told.out);
    fleet("name = \"hook\"\nurl = \"https://example.com/\"\nsecret = \"swordfish\"\nevnts = []\n");
    let told = home.run(&["check"]);
    assert_eq!(told.code, 2);
    assert!(
        told.out.contains("never written down") && told.out.contains("did you mean `events`"),
        "{}",
        told.out
    );
}

/// What docs/webhooks.md tells people to write, as far as Python is there.
#[test]
fn the_check_in_python_of_the_documents_takes_what_is_sent_and_nothing_else() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/webhooks.md"));
    let docs = docs.expect("the document is there");
    let code = docs.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let code = code.expect("it has a check in Python");
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        return;
    }
    let hook = Hook::says(200);
    let home = hook.home(1);
    let _server = Server::start(&home, &[]);
    home.good(&["run", "librarian", "When does a lease end?"]);
    let got = hook.next();
    let verified = |secret: &str, text: &str| {
        let program = format!(
            "{code}\nimport sys\nsys.exit(0 if is_ours(sys.argv[1], dict(zip(('webhook-id', 'webhook-timestamp', \
             'webhook-signature'), sys.argv[2:5])), sys.argv[5].encode()) else 1)"
        );
        let args = [secret, &got.id, &got.timestamp, &got.signature, text];
        let mut python = Command::new("python3");
        python.arg("-c").arg(program).args(args).status().expect("python is there").success()
    };
    assert!(verified(SECRET, &got.text));
    assert!(!verified(SECRET, &format!("{} ", got.text)));
    assert!(!verified("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &got.text));
}

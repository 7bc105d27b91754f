//! The way to a server that a test can break.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use runtime_testkit::peers::CutProxy;

/// More than what other tests of this process open meanwhile.
const MANY: usize = 200;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("this is Linux").count()
}

#[test]
fn connections_that_are_over_leave_no_descriptors() {
    let folder = tempfile::tempdir().expect("there is room");
    let listener = UnixListener::bind(folder.path().join("server.sock")).expect("the folder is new");
    let way = CutProxy::before(&folder.path().join("server.sock"));
    let serving = thread::spawn(move || {
        for stream in listener.incoming().take(MANY) {
            let mut stream = stream.expect("somebody connects");
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a byte comes");
            stream.write_all(&byte).expect("it is taken");
        }
    });

    let before = descriptors();
    for nth in 0..MANY {
        let mut client = UnixStream::connect(way.socket()).expect("it listens");
        client.write_all(&[nth as u8]).expect("it reads");
        let mut answer = Vec::new();
        // Until it is closed.
        client.read_to_end(&mut answer).expect("it answers");
        assert_eq!(answer, [nth as u8]);
    }
    let after = descriptors();

    serving.join().expect("all came");
    assert!(after < before + MANY / 2, "{before} descriptors before, {after} after {MANY} connections");
}

#[test]
fn a_connection_that_is_cut_is_over_at_both_ends() {
    let folder = tempfile::tempdir().expect("there is room");
    let listener = UnixListener::bind(folder.path().join("server.sock")).expect("the folder is new");
    let way = CutProxy::before(&folder.path().join("server.sock"));
    let mut client = UnixStream::connect(way.socket()).expect("it listens");
    let (mut server, _) = listener.accept().expect("somebody connects");
    client.write_all(b"a").expect("it reads");
    server.read_exact(&mut [0]).expect("a byte comes");

    way.cut();

    assert_eq!(client.read(&mut [0]).expect("it is closed in order"), 0);
    assert_eq!(server.read(&mut [0]).expect("it is closed in order"), 0);
}

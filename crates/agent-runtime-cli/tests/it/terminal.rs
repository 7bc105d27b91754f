//! What people see: the program on a terminal of its own.

use std::fs::File;
use std::io::Read;
use std::process::Command;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::home::Home;

/// A terminal: the side of who looks at it, and the side of the program.
pub(crate) fn pair(columns: u16) -> (File, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are pseudo-terminals");
    grantpt(&terminal).expect("it is ours");
    unlockpt(&terminal).expect("it is ours");
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it is a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let side = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).expect("it is there");
    (File::from(terminal), File::from(side))
}

/// Runs the program on a terminal of 100 columns; gives back its exit code and all that was written there.
pub(crate) fn on_a_terminal(mut command: Command) -> (i32, String) {
    let (mut terminal, side) = pair(100);
    let (out, err) = (side.try_clone().expect("a descriptor"), side);
    let mut child = command.stdout(out).stderr(err).spawn().expect("the program was built");
    // The command holds the other side open.
    drop(command);
    let mut shown = Vec::new();
    // The end of a terminal is an error: nobody is on its other side any more.
    drop(terminal.read_to_end(&mut shown));
    let code = child.wait().expect("it was started").code().expect("no signal ended it");
    (code, String::from_utf8(shown).expect("it writes text").replace("\r\n", "\n"))
}

fn shown(home: &Home, args: &[&str]) -> String {
    let mut command = home.command(args);
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    let (code, shown) = on_a_terminal(command);
    assert_eq!(code, 0, "{shown}");
    shown
}

pub(crate) fn shown_plain(home: &Home, args: &[&str]) -> String {
    let mut command = home.command(args);
    command.env("NO_COLOR", "1");
    let (code, shown) = on_a_terminal(command);
    assert_eq!(code, 0, "{shown}");
    shown
}

#[test]
fn lists_are_tables_and_the_next_command_is_named() {
    let home = Home::new();

    let agents = shown_plain(&home, &["agents"]);

    let head: Vec<&str> = agents.lines().next().expect("a head").split_whitespace().collect();
    assert_eq!(head, ["NAME", "KIND", "STATE", "RUNNING", "QUEUED", "STORED", "FLEET", "DESCRIPTION"]);
    assert!(agents.contains("librarian  librarian  started"), "{agents}");
    assert!(agents.contains("next: "), "{agents}");
    assert!(agents.contains("run librarian"), "{agents}");
}

#[test]
fn the_status_of_an_agent_tells_bytes_by_conversation() {
    let home = Home::new();
    home.good(&["run", "librarian", "When does a lease end?"]);
    home.good(&["run", "librarian", "When does a lease end?", "--session", "other"]);

    let status = shown_plain(&home, &["status", "librarian"]);

    let stored = status.lines().find(|line| line.starts_with("stored")).expect("the bytes of the agent");
    assert!(stored.contains("since yesterday began"), "{status}");
    let rows: Vec<&str> = status.lines().skip_while(|line| !line.starts_with("SESSION")).collect();
    assert_eq!(rows[0].split_whitespace().collect::<Vec<_>>(), ["SESSION", "STORED", "GROWN"]);
    let mut names: Vec<_> = rows[1..].iter().filter_map(|row| row.split_whitespace().next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["default", "other"], "{status}");
}

#[test]
fn an_answer_is_shown_once_however_it_comes() {
    let home = Home::new();

    let answer = shown_plain(&home, &["run", "librarian", "When does a lease end?"]);

    assert_eq!(answer.matches("docs/leases.md:3").count(), 1, "{answer}");
    assert_eq!(answer.matches("A lease ends").count(), 1, "{answer}");
    assert!(answer.contains("next: "), "{answer}");
}

#[test]
fn a_log_is_a_line_for_each_entry_that_fits_the_terminal() {
    let home = Home::new();
    home.good(&["run", "librarian", "When does a lease end?"]);

    let log = shown_plain(&home, &["log", "last"]);

    let words: Vec<&str> = log.lines().skip(1).filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(words, ["accepted", "started", "step", "state", "completed"], "{log}");
    assert!(log.lines().all(|line| line.chars().count() <= 100), "{log}");
}

#[test]
fn colours_are_for_terminals_whose_users_want_them() {
    let home = Home::new();

    assert!(shown(&home, &["agents"]).contains("\u{1b}["));
    assert!(!shown_plain(&home, &["agents"]).contains('\u{1b}'));
    assert!(!shown_plain(&home, &["run", "librarian", "lease"]).contains('\u{1b}'));
    assert!(!home.run(&["agents", "show", "nobody"]).err.contains('\u{1b}'));
}

#[test]
fn with_json_a_terminal_is_shown_json_and_nothing_else() {
    let home = Home::new();

    let agents = shown(&home, &["agents", "--json"]);

    let agents: serde_json::Value = serde_json::from_str(&agents).expect("JSON");
    assert_eq!(agents[0]["name"], "librarian");
}

//! What can be typed at the prompt besides something for the agent. Pure.

/// What somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Nothing.
    Nothing,
    /// Something for the agent.
    Text(String),
    /// An order to the program.
    Order(Order),
    /// A word with a slash that is no order.
    Unknown(String),
}

/// An order to the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Say what can be typed.
    Help,
    /// Show this many of the last messages.
    History(u32),
    /// Begin a new conversation.
    New,
    /// Let this take the place of the run at work, of which the conversation keeps nothing.
    Rollback(String),
    /// Go on in a copy of the conversation; with a text, this takes the place of what was said last.
    Fork(Option<String>),
    /// Leave.
    Quit,
}

/// Messages that `/history` shows unless it is told how many.
const HISTORY: u32 = 20;

/// The orders, each with what it takes and what it does.
pub(crate) const ORDERS: [(&str, &str, &str); 6] = [
    ("/help", "", "this"),
    ("/history", "[N]", "the last 20 messages of the conversation, or N"),
    ("/new", "", "begin a new conversation"),
    ("/rollback", "TEXT", "say this instead, while a run waits: nothing of that run is kept"),
    ("/fork", "[TEXT]", "go on in a copy; with TEXT in place of what you said last"),
    ("/quit", "", "leave; Ctrl-C and Ctrl-D leave too"),
];

impl Typed {
    /// What a line means.
    pub(crate) fn of(line: &str) -> Self {
        let line = line.trim();
        if line.is_empty() {
            return Self::Nothing;
        }
        if !line.starts_with('/') {
            return Self::Text(line.to_owned());
        }
        // Two slashes are for the agent, without the first.
        if let Some(text) = line.strip_prefix("//") {
            return Self::Text(format!("/{text}"));
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        Self::Order(match word {
            "/help" => Order::Help,
            "/history" => Order::History(rest.parse().ok().filter(|most| *most > 0).unwrap_or(HISTORY)),
            "/new" => Order::New,
            "/rollback" => Order::Rollback(rest.to_owned()),
            "/fork" => Order::Fork((!rest.is_empty()).then(|| rest.to_owned())),
            "/quit" | "/exit" => Order::Quit,
            _ => return Self::Unknown(word.to_owned()),
        })
    }
}

/// The orders that begin as what has been typed.
pub(crate) fn completions(typed: &str) -> Vec<String> {
    let names = ORDERS.iter().map(|(name, ..)| *name);
    names.filter(|name| typed.starts_with('/') && name.starts_with(typed)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{ORDERS, Order, Typed, completions};

    #[test]
    fn what_begins_with_a_slash_is_an_order_and_all_else_is_for_the_agent() {
        assert_eq!(Typed::of("  "), Typed::Nothing);
        assert_eq!(Typed::of(" hello "), Typed::Text("hello".to_owned()));
        assert_eq!(Typed::of("//etc/hosts"), Typed::Text("/etc/hosts".to_owned()));
        assert_eq!(Typed::of("/histroy"), Typed::Unknown("/histroy".to_owned()));
        assert_eq!(Typed::of("/history"), Typed::Order(Order::History(20)));
        assert_eq!(Typed::of("/history 3"), Typed::Order(Order::History(3)));
        assert_eq!(Typed::of("/fork"), Typed::Order(Order::Fork(None)));
        assert_eq!(Typed::of("/fork in red"), Typed::Order(Order::Fork(Some("in red".to_owned()))));
        for (name, ..) in ORDERS {
            assert!(matches!(Typed::of(name), Typed::Order(_)), "{name}");
        }
    }

    #[test]
    fn orders_are_completed() {
        assert_eq!(completions("/h"), ["/help", "/history"]);
        assert_eq!(completions("/q"), ["/quit"]);
        assert!(completions("h").is_empty());
    }
}

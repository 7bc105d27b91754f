//! A bounded count of who is in.

use std::fmt;

use runtime_traits::resource::Limit;

/// Counts who is in, up to a limit, and how many it refused.
///
/// A plain value: it reads no clock, takes no lock and waits for nobody. Whoever shares one puts it
/// behind a lock of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    limit: Limit,
    max: Option<u32>,
    inside: u32,
    refused: u64,
}

/// What became of an attempt to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who was refused is not in, and must not leave"]
pub enum Entry {
    /// In. Whoever entered leaves once.
    Entered {
        /// How many are in now.
        inside: u32,
    },
    /// Not in.
    Refused(Refusal),
}

/// Why a gate let somebody not in. Shown as a sentence that names the limit and the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that was reached.
    pub limit: Limit,
    /// How many may be in.
    pub max: u32,
    /// How many the gate has refused so far, this one among them.
    pub refused: u64,
}

/// What became of leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// One fewer is in.
    Left {
        /// How many are in now.
        inside: u32,
    },
    /// Nobody was in. The count stays 0; somebody left twice.
    WasEmpty,
}

impl Gate {
    /// A gate with nobody in. `max` is how many may be in at once; `None` means without a limit.
    pub const fn new(limit: Limit, max: Option<u32>) -> Self {
        Self { limit, max, inside: 0, refused: 0 }
    }

    /// Lets one in, if there is room.
    pub fn try_enter(&mut self) -> Entry {
        // A count without a limit still ends where the number does.
        let max = self.max.unwrap_or(u32::MAX);
        if self.inside < max {
            self.inside += 1;
            return Entry::Entered { inside: self.inside };
        }
        self.refused = self.refused.saturating_add(1);
        Entry::Refused(Refusal { limit: self.limit, max, refused: self.refused })
    }

    /// Takes note that one who had entered is gone.
    pub fn leave(&mut self) -> Left {
        match self.inside.checked_sub(1) {
            Some(inside) => {
                self.inside = inside;
                Left::Left { inside }
            }
            None => Left::WasEmpty,
        }
    }

    /// Changes how many may be in. Who is in stays in, also when that is more than `max` now.
    pub fn set_max(&mut self, max: Option<u32>) {
        self.max = max;
    }

    /// How many are in.
    pub const fn inside(&self) -> u32 {
        self.inside
    }

    /// How many were refused so far.
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, max, .. } = self;
        write!(f, "`{limit}` is {max} and reached; try again when one has left, or raise the limit")
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::{Entry, Gate, Left, Refusal};
    use runtime_traits::resource::Limit;

    #[derive(Clone, Debug)]
    enum Act {
        Enter,
        Leave,
        SetMax(Option<u32>),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => proptest::strategy::Just(Act::Enter),
            3 => proptest::strategy::Just(Act::Leave),
            1 => any::<Option<u8>>().prop_map(|max| Act::SetMax(max.map(|max| u32::from(max % 6)))),
        ]
    }

    proptest! {
        #[test]
        fn a_gate_lets_in_exactly_while_fewer_than_its_limit_are_in(acts in vec(act(), 0..200)) {
            let mut gate = Gate::new(Limit::MaxQueued, Some(3));
            let (mut max, mut people, mut turned_away) = (Some(3), Vec::new(), 0_u64);

            for act in acts {
                match act {
                    Act::Enter if max.is_none_or(|max| people.len() < max as usize) => {
                        people.push(());
                        let inside = people.len() as u32;
                        assert_eq!(gate.try_enter(), Entry::Entered { inside });
                    }
                    Act::Enter => {
                        turned_away += 1;
                        let max = max.expect("only a limit refuses");
                        let refusal = Refusal { limit: Limit::MaxQueued, max, refused: turned_away };
                        assert_eq!(gate.try_enter(), Entry::Refused(refusal));
                    }
                    Act::Leave => {
                        let left = match people.pop() {
                            Some(()) => Left::Left { inside: people.len() as u32 },
                            None => Left::WasEmpty,
                        };
                        assert_eq!(gate.leave(), left);
                    }
                    Act::SetMax(new) => {
                        max = new;
                        gate.set_max(new);
                    }
                }
                assert_eq!(gate.inside() as usize, people.len());
                assert_eq!(gate.refused(), turned_away);
            }
        }
    }

    #[test]
    fn a_refusal_names_the_limit_and_the_remedy() {
        let mut gate = Gate::new(Limit::MaxConcurrentRequests, Some(0));

        let Entry::Refused(refusal) = gate.try_enter() else { panic!("nobody may be in") };

        assert_eq!(
            refusal.to_string(),
            "`max_concurrent_requests` is 0 and reached; \
             try again when one has left, or raise the limit"
        );
    }
}

//! Who listens to what: a tree of the segments of patterns, for each tenant.

use std::sync::Arc;

use hashbrown::HashMap;
use runtime_traits::Tenant;
use runtime_traits::bus::{Live, Topic};

use super::Ring;

/// The rings of all live readers, found by topic.
///
/// A look-up walks down the segments of the topic, and looks at no reader that it does not find.
#[derive(Debug, Default)]
pub(crate) struct Table {
    tenants: HashMap<Tenant, Node>,
    count: usize,
}

/// What is known about the topics that begin as the way here says.
#[derive(Debug, Default)]
struct Node {
    named: HashMap<Box<str>, Node>,
    /// Below `*`.
    any: Option<Box<Node>>,
    /// Whose patterns end here.
    here: Vec<Arc<Ring>>,
    /// Whose patterns end here with `**`.
    rest: Vec<Arc<Ring>>,
}

impl Table {
    /// How many readers there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A new reader: its ring, which it shares with all that want the same, its seat there, and the number of the last event
    /// before it came.
    pub(crate) fn join(&mut self, live: Live) -> (Arc<Ring>, (usize, u64)) {
        let rings = self.rings_of(&live);
        let ring = match rings.iter().find(|ring| *ring.live() == live) {
            Some(known) => Arc::clone(known),
            None => {
                let ring = Arc::new(Ring::new(live));
                rings.push(Arc::clone(&ring));
                ring
            }
        };
        let seat = ring.join();
        self.count += 1;
        (ring, seat)
    }

    /// Where the rings of a pattern are.
    fn rings_of(&mut self, live: &Live) -> &mut Vec<Arc<Ring>> {
        let mut node = self.tenants.entry(live.tenant.clone()).or_default();
        for segment in live.pattern.segments() {
            match segment {
                "**" => return &mut node.rest,
                "*" => node = node.any.get_or_insert_default(),
                name => {
                    if !node.named.contains_key(name) {
                        node.named.insert(name.into(), Node::default());
                    }
                    node = node.named.get_mut(name).expect("it was put there if it was missing");
                }
            }
        }
        &mut node.here
    }

    /// Takes a reader out; after the last one its ring as well, with the branches that only it needed.
    pub(crate) fn leave(&mut self, ring: &Arc<Ring>, seat: usize) {
        self.count -= 1;
        if !ring.leave(seat) {
            return;
        }
        let live = ring.live();
        let Some(node) = self.tenants.get_mut(&live.tenant) else { return };
        node.remove(&mut live.pattern.segments(), ring);
        if node.is_empty() {
            self.tenants.remove(&live.tenant);
        }
    }

    /// Shows all whose pattern matches.
    pub(crate) fn each<'a>(&'a self, tenant: &Tenant, topic: &Topic, show: &mut impl FnMut(&'a Arc<Ring>)) {
        if let Some(node) = self.tenants.get(tenant) {
            node.each(topic.as_str(), show);
        }
    }

    /// All rings.
    pub(crate) fn rings(&self) -> Vec<Arc<Ring>> {
        let mut found = Vec::new();
        let mut open: Vec<&Node> = self.tenants.values().collect();
        while let Some(node) = open.pop() {
            found.extend(node.here.iter().chain(&node.rest).cloned());
            open.extend(node.named.values());
            open.extend(node.any.as_deref());
        }
        found
    }
}

impl Node {
    /// `rest` is what of the topic is below this node: at least one segment.
    fn each<'a>(&'a self, rest: &str, show: &mut impl FnMut(&'a Arc<Ring>)) {
        self.rest.iter().for_each(&mut *show);
        let (segment, below) = match rest.split_once('/') {
            Some((segment, below)) => (segment, Some(below)),
            None => (rest, None),
        };
        for node in [self.named.get(segment), self.any.as_deref()].into_iter().flatten() {
            match below {
                Some(below) => node.each(below, show),
                None => node.here.iter().for_each(&mut *show),
            }
        }
    }

    fn remove(&mut self, segments: &mut dyn Iterator<Item = &str>, ring: &Arc<Ring>) {
        match segments.next() {
            None => take(&mut self.here, ring),
            Some("**") => take(&mut self.rest, ring),
            Some("*") => {
                let Some(node) = &mut self.any else { return };
                node.remove(segments, ring);
                if node.is_empty() {
                    self.any = None;
                }
            }
            Some(name) => {
                let Some(node) = self.named.get_mut(name) else { return };
                node.remove(segments, ring);
                if node.is_empty() {
                    self.named.remove(name);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }
}

/// Keeps the order of the others.
fn take(rings: &mut Vec<Arc<Ring>>, ring: &Arc<Ring>) {
    rings.retain(|known| !Arc::ptr_eq(known, ring));
}

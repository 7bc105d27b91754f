//! Which node is to own a partition: rendezvous hashing.

use runtime_traits::{NodeId, Partition};
use xxhash_rust::xxh3::xxh3_64;

/// The node that is to own `partition` while exactly `nodes` are there, in whatever order.
///
/// Everybody who knows the same nodes comes to the same answer. When a node leaves, only its
/// partitions move; when one joins, partitions move only to it. `None` without nodes, and for
/// [`Partition::OWNERLESS`].
///
/// # Examples
/// ```
/// use runtime_cluster::node_of;
/// use runtime_traits::{NodeId, Partition, Pool};
/// use uuid::Uuid;
///
/// let nodes = [1, 2, 3].map(|n| NodeId(Uuid::from_u128(n)));
/// let partition = Partition { pool: Pool::MAIN, index: 17 };
/// let node = node_of(partition, &nodes).expect("there are three nodes");
/// assert!(nodes.contains(&node));
/// ```
pub fn node_of(partition: Partition, nodes: &[NodeId]) -> Option<NodeId> {
    if partition.index == Partition::OWNERLESS {
        return None;
    }
    // The id decides between equal scores.
    nodes.iter().copied().max_by_key(|node| (score(*node, partition), *node))
}

/// How much a node and a partition belong together. The bytes are part of the node protocol.
fn score(node: NodeId, partition: Partition) -> u64 {
    let pool = partition.pool.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(18 + pool.len());
    bytes.extend_from_slice(node.0.as_bytes());
    bytes.extend_from_slice(&partition.index.to_le_bytes());
    bytes.extend_from_slice(pool);
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, proptest};
    use proptest::sample::Index;
    use runtime_traits::{NodeId, Partition, Pool};
    use uuid::Uuid;

    use super::node_of;

    fn partitions() -> impl Iterator<Item = Partition> {
        (0..Partition::COUNT).map(|index| Partition { pool: Pool::MAIN, index })
    }

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    fn nodes() -> impl Strategy<Value = Vec<NodeId>> {
        vec(any::<u128>().prop_map(node), 1..12)
    }

    proptest! {
        #[test]
        fn a_node_that_leaves_moves_its_partitions_and_no_other(all in nodes(), gone in any::<Index>()) {
            let gone = all[gone.index(all.len())];
            let left: Vec<NodeId> = all.iter().copied().filter(|node| *node != gone).collect();

            for partition in partitions() {
                let before = node_of(partition, &all).unwrap();
                let after = node_of(partition, &left);
                if before == gone {
                    assert!(after.is_none_or(|node| left.contains(&node)));
                    assert_eq!(after.is_none(), left.is_empty());
                } else {
                    assert_eq!(after, Some(before));
                }
            }
        }

        #[test]
        fn a_node_that_joins_takes_partitions_and_moves_no_other(old in nodes(), new in any::<u128>()) {
            let new = node(new);
            let mut all = old.clone();
            all.push(new);

            for partition in partitions() {
                let after = node_of(partition, &all);
                assert!(after == Some(new) || after == node_of(partition, &old));
            }
        }

        #[test]
        fn neither_order_nor_repetition_of_the_nodes_matters(all in nodes()) {
            let mut others = all.clone();
            others.reverse();
            others.push(all[0]);

            for partition in partitions() {
                assert_eq!(node_of(partition, &all), node_of(partition, &others));
            }
        }
    }

    #[test]
    fn partitions_stay_where_they_have_always_been() {
        let nodes = [1, 2, 3, 4, 5].map(node);
        let owner = |pool, index| {
            let pool = Pool::new(pool).unwrap();
            node_of(Partition { pool, index }, &nodes).unwrap().0.as_u128()
        };

        let main: Vec<u128> = (0..16).map(|index| owner("main", index)).collect();
        let models: Vec<u128> = (240..256).map(|index| owner("models", index)).collect();

        assert_eq!(main, [4, 3, 3, 5, 5, 5, 2, 2, 3, 5, 3, 2, 2, 4, 5, 1]);
        assert_eq!(models, [5, 2, 5, 4, 2, 5, 3, 3, 2, 4, 3, 5, 5, 2, 5, 2]);
    }

    #[test]
    fn nobody_owns_without_nodes_and_nobody_owns_the_ownerless() {
        let ownerless = Partition { pool: Pool::MAIN, index: Partition::OWNERLESS };

        assert!(partitions().all(|partition| node_of(partition, &[]).is_none()));
        assert_eq!(node_of(ownerless, &[node(1)]), None);
    }

    #[test]
    fn each_of_many_clusters_is_shared_out_evenly() {
        for cluster in 0..200 {
            let nodes: Vec<NodeId> = (0..4).map(|n| node(cluster * 4 + n)).collect();
            for wanted in &nodes {
                let share = partitions().filter(|p| node_of(*p, &nodes) == Some(*wanted)).count();
                // 64 on average, with a standard deviation of 7.
                assert!((32..=96).contains(&share), "{share} of 256 in cluster {cluster}");
            }
        }
    }
}

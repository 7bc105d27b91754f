//! Damage that only who knows what values mean can see: each kind of it is found, and whose it is.

use runtime_codec::{CHUNK, keys};
use runtime_state::{Damage, DamageSort, Verified};
use runtime_testkit::block_on;
use runtime_traits::content::Digest;
use runtime_traits::log::Head;
use runtime_traits::name::Name;
use runtime_traits::partition::Pool;
use runtime_traits::store::{Seq, Then};

use crate::lived::{HERE, Lived, at, newer};

fn only(verified: &Verified) -> &Damage {
    assert_eq!(verified.damaged, 1, "{verified:#?}");
    &verified.damages[0]
}

fn told(verified: &Verified) -> (DamageSort, String, String) {
    let damage = only(verified);
    (damage.damage, damage.place.to_string(), damage.what.clone())
}

#[test]
fn a_store_that_a_runtime_wrote_is_whole() {
    block_on(async {
        let verified = Lived::in_memory().await.verify().await;
        assert_eq!((verified.damaged, verified.unknown, verified.unfinished), (0, 0, 0), "{verified:#?}");
        assert!(verified.contents >= 4, "the large answer, and what the snapshot is made of: {verified:?}");
        assert_eq!(verified.entries, 3 * 3 + 6 + 3);
    });
}

#[test]
fn a_value_that_is_no_record_is_damage_of_its_agent() {
    block_on(async {
        let lived = Lived::in_memory().await;
        lived.put(keys::state(&lived.tenant, &lived.agent, &lived.session), "no record").await;
        let verified = lived.verify().await;
        let damage = only(&verified);
        assert_eq!(damage.damage, DamageSort::Record);
        assert_eq!((damage.agent, damage.session.as_ref()), (Some(lived.agent), Some(&lived.session)));
        let left = &verified.left[0];
        assert_eq!(left.name, Some(Name::new("Anna").unwrap()));
        assert_eq!((left.sessions[0].messages, left.sessions[0].whole), (Some(6), 6));
    });
}

#[test]
fn every_sort_of_cell_is_read_as_what_it_is() {
    block_on(async {
        let fresh = Lived::in_memory().await;
        let cells = fresh.store.scan(&runtime_traits::store::Key::all(HERE), None, 1_000).await.unwrap();
        assert!(cells.len() > 20);
        for (key, cell) in cells {
            if key.path.to_string().contains("/blob/") {
                continue;
            }
            let lived = Lived::in_memory().await;
            // The last byte is gone, or the number is none.
            let cut = cell.value.slice(..cell.value.len() - 1);
            lived.put(key.clone(), if cut.is_empty() { "x".into() } else { cut }).await;
            let verified = lived.verify().await;
            assert!(verified.damaged >= 1, "{key} is cut and nothing is said");
            let place = format!("cell {}", key.path);
            assert!(verified.damages.iter().any(|damage| damage.place.to_string() == place), "{key}");
        }
    });
}

#[test]
fn what_a_newer_version_wrote_is_told_apart_from_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let head = Head { last: Seq(6), messages: 6, run: lived.ended[2], at: at(3) };
        lived.put(lived.head(), newer(&head)).await;
        let verified = lived.verify().await;
        assert_eq!((verified.damaged, verified.newer), (1, 1));
        assert_eq!(only(&verified).damage, DamageSort::Newer);
    });
}

#[test]
fn contents_are_compared_with_their_hashes_and_lengths() {
    block_on(async {
        for (chunk, value) in [(0, vec![8; CHUNK]), (2, vec![7; 10]), (1, vec![7; CHUNK - 1])] {
            let lived = Lived::in_memory().await;
            let hash = lived.large.digest();
            lived.put(keys::blob(&lived.tenant, HERE, &hash, chunk), value).await;
            let verified = lived.verify().await;
            let places: Vec<String> =
                verified.damages.iter().map(|damage| damage.place.to_string()).collect();
            let names = |text: &str| places.iter().any(|place| place.contains(text));
            // The content itself, the message and the outcome that name it, the head, and the snapshot.
            assert!(names(&hash.to_string()) && names("entry 6 of log t/"), "{places:?}");
            assert!(names("entry 3 of log run/") && names("/head") && names("/snap/"), "{places:?}");
        }
    });
}

#[test]
fn a_missing_chunk_and_content_that_nobody_finished_are_told_apart() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let half = Digest::of(b"a content that is written when power goes");
        lived.put(keys::blob(&lived.tenant, HERE, &half, 0), vec![1; CHUNK]).await;
        let verified = lived.verify().await;
        assert_eq!((verified.damaged, verified.unfinished), (0, 1));

        lived.delete(keys::blob(&lived.tenant, HERE, &lived.large.digest(), 1)).await;
        let verified = lived.verify().await;
        assert!(verified.damages.iter().all(|damage| damage.damage == DamageSort::Content), "{verified:?}");
        assert!(verified.damages.iter().any(|damage| damage.what.contains("chunk 1")), "{verified:?}");
        let left = &verified.left[0].sessions[0];
        assert_eq!((left.messages, left.whole), (Some(6), 4), "cut back to the outcome before");
    });
}

#[test]
fn an_open_run_without_a_log_is_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        lived.write(HERE, vec![Then::Drop(keys::run_log(&lived.open))]).await;
        let (sort, place, what) = told(&lived.verify().await);
        assert_eq!((sort, what.as_str()), (DamageSort::Dangling, "the log of the open run is missing"));
        assert!(place.starts_with("cell open/"), "{place}");
    });
}

#[test]
fn a_run_of_which_nothing_says_that_it_is_open_or_over_is_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        lived.delete(keys::open(&lived.open)).await;
        let verified = lived.verify().await;
        let damage = only(&verified);
        assert_eq!((damage.run, damage.agent), (Some(lived.open), Some(lived.agent)));
        assert!(damage.what.contains("nothing says that the run is open"), "{damage:?}");
    });
}

#[test]
fn a_head_that_names_a_missing_message_is_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let head = Head { last: Seq(7), messages: 7, run: lived.ended[2], at: at(3) };
        lived.put(lived.head(), runtime_codec::encode(&head)).await;
        let verified = lived.verify().await;
        assert!(only(&verified).what.contains("number 7, which is missing"), "{verified:?}");
        assert_eq!(verified.left[0].sessions[0].whole, 6);
    });
}

#[test]
fn names_and_agents_that_have_lost_each_other_are_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let name = keys::name(Pool::MAIN, &lived.tenant, &Name::new("Anna").unwrap());
        lived.delete(name).await;
        let (sort, place, what) = told(&lived.verify().await);
        assert_eq!((sort, what.as_str()), (DamageSort::Dangling, "nothing says who has the name `Anna`"));
        assert!(place.ends_with("/spec"), "{place}");

        let lived = Lived::in_memory().await;
        lived.delete(keys::spec(&lived.tenant, &lived.agent)).await;
        let verified = lived.verify().await;
        let wrong =
            |what: &str| verified.damages.iter().any(|damage| damage.place.to_string().contains(what));
        assert!(wrong("/name/anna") && wrong("/want") && wrong("open/"), "{verified:#?}");
    });
}

#[test]
fn entries_after_the_end_and_a_conversation_in_a_circle_are_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let log = keys::run_log(&lived.ended[0]);
        let again = lived.store.read(&log, Seq(2), 1).await.unwrap().entries;
        lived.write(HERE, vec![Then::Append(log, again)]).await;
        assert!(told(&lived.verify().await).2.contains("after the end of its run"));

        let lived = Lived::in_memory().await;
        let mut message: runtime_traits::log::Message = {
            let read = lived.store.read(&lived.messages(), Seq(6), 1).await.unwrap();
            runtime_codec::decode(&read.entries[0]).unwrap()
        };
        message.after = Some(Seq(9));
        let message = runtime_codec::encode(&message);
        lived.write(HERE, vec![Then::Append(lived.messages(), vec![message])]).await;
        assert!(told(&lived.verify().await).2.contains("message 9, which is later"));
    });
}

#[test]
fn an_agent_that_is_being_deleted_is_no_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let agent = lived.agent;
        let name = keys::name(Pool::MAIN, &lived.tenant, &Name::new("Anna").unwrap());
        lived.delete(name).await;
        lived.write(HERE, vec![Then::Drop(keys::run_log(&lived.ended[0]))]).await;
        assert_eq!(lived.verify().await.damaged, 2);
        let due =
            runtime_codec::Due::Unnamed { tenant: lived.tenant.clone(), agent, name: "Anna".to_owned() };
        lived.put(keys::due(HERE, at(9), "unnamed/x"), runtime_codec::encode(&due)).await;
        let verified = lived.verify().await;
        assert!(only(&verified).what.contains("log of the ended run"), "an agent that was made just now");
        lived.delete(keys::want(&lived.tenant, &agent)).await;
        assert_eq!(lived.verify().await.damaged, 0);
    });
}

#[test]
fn what_the_bus_keeps_is_read_as_what_it_is() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let topic = "orders/new".parse().unwrap();
        let log = keys::topic(Pool::MAIN, &lived.tenant, &topic);
        lived.write(log.partition, vec![Then::Append(log.clone(), vec!["no event".into()])]).await;
        let (sort, place, _) = told(&lived.verify().await);
        assert_eq!(sort, DamageSort::Record);
        assert!(place.contains("topic/orders/new"), "{place}");
        lived.write(log.partition, vec![Then::Drop(log)]).await;
        let name = Name::new("billing").unwrap();
        lived.put(keys::subscription(Pool::MAIN, &lived.tenant, &topic, &name), "no cursor").await;
        let (sort, place, _) = told(&lived.verify().await);
        assert_eq!(sort, DamageSort::Record);
        assert!(place.contains("sub/billing/orders/new"), "{place}");
    });
}

#[test]
fn a_run_whose_log_is_let_go_is_no_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let run = lived.ended[0];
        lived.write(HERE, vec![Then::Trim(keys::run_log(&run), Seq(3))]).await;
        assert!(lived.verify().await.damaged > 0);
        lived.put(keys::swept(&run), runtime_codec::encode(&lived.stub())).await;
        assert_eq!(lived.verify().await.damaged, 0);
        lived.write(HERE, vec![Then::Drop(keys::run_log(&run))]).await;
        let verified = lived.verify().await;
        assert_eq!((verified.damaged, verified.unknown), (0, 0), "{verified:#?}");
    });
}

#[test]
fn that_a_run_is_let_go_later_excuses_nothing_of_it() {
    block_on(async {
        let due = |lived: &Lived, run| {
            let due = runtime_codec::Due::Sweep {
                tenant: lived.tenant.clone(),
                agent: lived.agent,
                session: lived.session.clone(),
                run,
            };
            (keys::due(HERE, at(9), "sweep/x"), runtime_codec::encode(&due))
        };
        let lived = Lived::in_memory().await;
        let run = lived.ended[0];
        let (cell, value) = due(&lived, run);
        lived.put(cell, value).await;
        assert_eq!(lived.verify().await.damaged, 0);
        lived.write(HERE, vec![Then::Trim(keys::run_log(&run), Seq(2))]).await;
        let verified = lived.verify().await;
        assert!(
            verified.damages.iter().any(|damage| damage.what.contains("lost its begin")),
            "{verified:#?}"
        );

        let lived = Lived::in_memory().await;
        let (cell, value) = due(&lived, run);
        lived.put(cell, value).await;
        lived.delete(keys::ended(&lived.tenant, &lived.agent, &run)).await;
        let verified = lived.verify().await;
        assert!(only(&verified).what.contains("nothing says that the run is open"), "{verified:#?}");

        // The begin of a copy that nobody ended has no outcome.
        let lived = Lived::in_memory().await;
        let (cell, value) = due(&lived, lived.open);
        lived.delete(keys::open(&lived.open)).await;
        assert_eq!(lived.verify().await.damaged, 1);
        lived.put(cell, value).await;
        assert_eq!(lived.verify().await.damaged, 0);
    });
}

#[test]
fn a_stub_that_nothing_would_delete_with_its_agent_is_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let run = lived.ended[0];
        lived.put(keys::swept(&run), runtime_codec::encode(&lived.stub())).await;
        lived.write(HERE, vec![Then::Drop(keys::run_log(&run))]).await;
        assert_eq!(lived.verify().await.damaged, 0);
        lived.delete(keys::ended(&lived.tenant, &lived.agent, &run)).await;
        let verified = lived.verify().await;
        let damage = only(&verified);
        assert_eq!((damage.run, damage.agent), (Some(run), Some(lived.agent)));
        assert!(damage.what.contains("nothing but its stub"), "{damage:?}");
    });
}

//! Disks that a test can fill, break and cut the power of.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex};

use redb::{BackendError, StorageBackend};
use runtime_state::Rim;
use runtime_testkit::fakes::Chance;

/// A disk in memory. What is written is kept apart from what is synced, as a system's cache keeps it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cached: Vec<u8>,
    synced: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
    syncs: u64,
}

/// What is wrong with a disk; the test's end of a [`Breakable`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Switch {
    faults: Arc<Mutex<Faulty>>,
    /// Whether syncs wait, and who waits for that to end.
    paused: Arc<(Mutex<Paused>, Condvar)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Faulty {
    syncs: bool,
    reads: bool,
    /// Reads fail once so many more syncs have succeeded.
    reads_after: Option<u32>,
    /// This many more writes succeed before all fail.
    writes: Option<(u32, io::ErrorKind)>,
    /// Writes panic, as redb does on some damaged files.
    panic: bool,
}

#[derive(Debug, Default)]
struct Paused {
    paused: bool,
    /// A sync waits.
    waiting: bool,
}

/// A backend that fails when its [`Switch`] says so.
#[derive(Debug)]
pub(crate) struct Breakable {
    inner: Box<dyn StorageBackend>,
    switch: Switch,
}

impl Disk {
    /// The disk as it is after the power went: what was synced, and of what was not any part.
    pub(crate) fn cut_power(&self, chance: &mut Chance) -> Self {
        let state = self.state.lock().unwrap();
        let mut left = state.synced.clone();
        for (offset, data) in &state.unsynced {
            // A disk writes sectors, in any order, and perhaps not all of them.
            for (n, sector) in data.chunks(512).enumerate() {
                if chance.once_in(2) {
                    let at = offset + n * 512;
                    left.resize(left.len().max(at + sector.len()), 0);
                    left[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        let state = State { cached: left.clone(), synced: left, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Syncs so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.state.lock().unwrap().syncs
    }
}

impl Switch {
    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.faults.lock().unwrap().syncs = fail;
    }

    pub(crate) fn fail_reads(&self, fail: bool) {
        self.faults.lock().unwrap().reads = fail;
    }

    /// Lets `count` more writes pass, and fails all after them.
    pub(crate) fn fail_writes_after(&self, count: u32, kind: io::ErrorKind) {
        self.faults.lock().unwrap().writes = Some((count, kind));
    }

    /// Lets `count` more syncs pass, and fails all reads after them.
    pub(crate) fn fail_reads_after_syncs(&self, count: u32) {
        self.faults.lock().unwrap().reads_after = Some(count);
    }

    pub(crate) fn panic_at_writes(&self) {
        self.faults.lock().unwrap().panic = true;
    }

    /// Whether syncs wait.
    pub(crate) fn pause_syncs(&self, pause: bool) {
        self.paused.0.lock().unwrap().paused = pause;
        self.paused.1.notify_all();
    }

    /// Waits until a sync waits.
    pub(crate) fn wait_for_sync(&self) {
        let paused = self.paused.0.lock().unwrap();
        drop(self.paused.1.wait_while(paused, |paused| !paused.waiting).unwrap());
    }

    fn wait_while_paused(&self) {
        let mut paused = self.paused.0.lock().unwrap();
        paused.waiting = paused.paused;
        self.paused.1.notify_all();
        let mut paused = self.paused.1.wait_while(paused, |paused| paused.paused).unwrap();
        paused.waiting = false;
    }

    /// Makes everything good.
    pub(crate) fn heal(&self) {
        *self.faults.lock().unwrap() = Faulty::default();
    }

    pub(crate) fn wrap(&self, inner: impl StorageBackend) -> Box<dyn StorageBackend> {
        Box::new(Breakable { inner: Box::new(inner), switch: self.clone() })
    }

    fn check_write(&self) -> io::Result<()> {
        let mut faults = *self.faults.lock().unwrap();
        assert!(!faults.panic, "the test says so");
        let checked = match &mut faults.writes {
            None => Ok(()),
            Some((0, kind)) => Err((*kind).into()),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
        };
        *self.faults.lock().unwrap() = faults;
        checked
    }

    fn count_sync(&self) {
        let mut faults = self.faults.lock().unwrap();
        match &mut faults.reads_after {
            None => {}
            Some(0 | 1) => faults.reads = true,
            Some(left) => *left -= 1,
        }
    }
}

impl Rim for Switch {
    fn read(&self) -> io::Result<()> {
        if self.faults.lock().unwrap().reads {
            return Err(io::Error::other("the disk does not read"));
        }
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        self.check_write()
    }

    fn sync(&self) -> io::Result<()> {
        self.wait_while_paused();
        if self.faults.lock().unwrap().syncs {
            return Err(io::Error::other("the disk does not sync"));
        }
        self.count_sync();
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let from = state.cached.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.lock().unwrap().cached.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let State { cached, synced, unsynced, syncs } = &mut *state;
        synced.resize(cached.len(), 0);
        for (offset, data) in unsynced.drain(..) {
            let end = cached.len().min(offset + data.len());
            synced[offset.min(end)..end].copy_from_slice(&data[..end.saturating_sub(offset)]);
        }
        *syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let offset = offset as usize;
        let place = state.cached.get_mut(offset..offset + data.len());
        place.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        state.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}

impl StorageBackend for Breakable {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        Rim::read(&self.switch)?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.switch.wait_while_paused();
        if self.switch.faults.lock().unwrap().syncs {
            return Err(io::Error::other("the disk does not sync"));
        }
        self.inner.sync_data()?;
        self.switch.count_sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.switch.check_write()?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

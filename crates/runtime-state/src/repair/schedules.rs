//! Schedules: one that nothing fires gets a `due/` cell again.

use runtime_codec::{Due, ScheduleRecord, Whose, decode, encode, keys};
use runtime_traits::name::Name;
use runtime_traits::store::Key;

use super::RepairError;
use super::cells::place_of;
use super::notes::ChangeSort;
use super::part::Part;
use crate::verify::damage::Fault;

impl Part<'_, '_> {
    /// A schedule that cannot be read is left out; one that nothing fires is fired when it says so itself.
    pub(super) async fn mend_schedule(
        &mut self,
        key: Key,
        whose: &Whose,
        fault: &Fault,
    ) -> Result<(), RepairError> {
        let cell = self.from.get(std::slice::from_ref(&key)).await.ok().and_then(|mut cells| cells.pop()?);
        let value = cell.map(|cell| cell.value);
        let record: Option<ScheduleRecord> = value.as_ref().and_then(|value| decode(value).ok());
        let name = keys::last_part(&key).and_then(|name| Name::new(name).ok());
        if let (Some(value), Some(next)) = (value, record.and_then(|record| record.next))
            && let (Some(tenant), Some(agent), Some(name)) = (&whose.tenant, whose.agent, name)
            && !self.is_lost(tenant, &agent).await
        {
            let what = format!("{}; it fires when it says that it does", fault.what);
            self.changed(ChangeSort::Mended, place_of(&key), whose, what);
            let due = keys::due_schedule(&agent, next, &name);
            let fires = Due::Schedule { tenant: tenant.clone(), agent, name: name.as_str().to_owned() };
            self.make(due, encode(&fires)).await?;
            return self.make(key, value).await;
        }
        self.changed(ChangeSort::LeftOut, place_of(&key), whose, fault.what.as_str());
        Ok(())
    }
}

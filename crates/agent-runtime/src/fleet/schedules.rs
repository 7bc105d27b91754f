//! The schedules of a file's agents.

use runtime_traits::schedule::{ScheduleFilter, ScheduledBy};
use runtime_traits::{AgentRef, Name, Runtime, RuntimeError};

use super::FleetAgent;

impl FleetAgent {
    /// Declares what the file declares, and deletes what it declared before and no longer does. What somebody added by hand stays.
    pub(super) async fn schedule(&self, runtime: &dyn Runtime) -> Result<(), RuntimeError> {
        let id = runtime.agent(&AgentRef::from(self.spec.name.clone())).await?.id;
        let agent = AgentRef::from(id);
        for schedule in &self.schedules {
            runtime.put_schedule(&agent, schedule.clone(), ScheduledBy::FleetFile).await?;
        }
        let mut gone: Vec<Name> = Vec::new();
        let mut filter = ScheduleFilter { agent: Some(id), ..ScheduleFilter::default() };
        loop {
            let page = runtime.schedules(filter.clone()).await?;
            let of_file = page.items.into_iter().filter(|view| view.by == ScheduledBy::FleetFile);
            gone.extend(of_file.map(|view| view.schedule.name).filter(|name| !self.declares(name)));
            filter.after = page.next;
            if filter.after.is_none() {
                break;
            }
        }
        for name in gone {
            match runtime.delete_schedule(&agent, &name).await {
                Ok(()) | Err(RuntimeError::UnknownSchedule { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn declares(&self, name: &Name) -> bool {
        self.schedules.iter().any(|schedule| schedule.name.folded() == name.folded())
    }
}

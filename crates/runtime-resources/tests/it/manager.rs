//! [`ResourceManager`] keeps the contract of governors.

use std::sync::Arc;

use runtime_resources::{PriceTable, ResourceManager};

pub(crate) fn manager() -> Arc<ResourceManager> {
    let prices = r#"{ "test/priced": { "input": "1", "output": "1" } }"#;
    Arc::new(ResourceManager::new(serde_json::from_str::<PriceTable>(prices).expect("a table")))
}

runtime_testkit::governor_conformance!(manager());

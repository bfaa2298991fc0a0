//! The OTLP resource: describes this process.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use uuid::Uuid;

use super::message::attribute;
use crate::request::recording::Value;

/// Describes this process: its own names, the host's, and what the environment adds or changes, by
/// the variables that OpenTelemetry defines.
#[must_use]
pub fn resource(environment: impl Fn(&str) -> Option<String>) -> Resource {
    let given = |name: &str| environment(name).filter(|value| !value.is_empty());
    let mut attributes = Vec::new();
    set(&mut attributes, "service.name", "moongate");
    set(&mut attributes, "service.version", env!("CARGO_PKG_VERSION"));
    set(&mut attributes, "service.instance.id", &Uuid::now_v7().to_string());
    if let Some(host) = given("HOSTNAME") {
        set(&mut attributes, "host.name", &host);
    }
    let more = given("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (name, value) in more.split(',').filter_map(|pair| pair.split_once('=')) {
        set(&mut attributes, name.trim(), value.trim());
    }
    if let Some(name) = given("OTEL_SERVICE_NAME") {
        set(&mut attributes, "service.name", &name);
    }
    Resource { attributes, ..Resource::default() }
}

/// Names are unique: a later value replaces an earlier one.
fn set(attributes: &mut Vec<KeyValue>, name: &str, value: &str) {
    attributes.retain(|there| there.key != name);
    attributes.push(attribute(name, Value::from(value.to_owned())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;

    fn named(resource: &Resource, name: &str) -> Vec<String> {
        let of_name = resource.attributes.iter().filter(|attribute| attribute.key == name);
        let text = |attribute: &KeyValue| match &attribute.value.as_ref()?.value {
            Some(Any::StringValue(text)) => Some(text.clone()),
            _ => None,
        };
        of_name.filter_map(text).collect()
    }

    #[test]
    fn a_process_is_named_and_the_environment_adds_to_it() {
        let bare = resource(|_| None);
        assert_eq!(named(&bare, "service.name"), ["moongate"]);
        assert_eq!(named(&bare, "service.instance.id").len(), 1);
        assert!(named(&bare, "host.name").is_empty());

        let pod = resource(|name| match name {
            "HOSTNAME" => Some("moongate-7d4f".to_owned()),
            "OTEL_RESOURCE_ATTRIBUTES" => {
                Some("k8s.namespace.name=ai, service.version=mine,,broken".to_owned())
            }
            "OTEL_SERVICE_NAME" => Some("pictures".to_owned()),
            _ => None,
        });
        assert_eq!(named(&pod, "host.name"), ["moongate-7d4f"]);
        assert_eq!(named(&pod, "k8s.namespace.name"), ["ai"]);
        assert_eq!(named(&pod, "service.version"), ["mine"]);
        assert_eq!(named(&pod, "service.name"), ["pictures"]);
    }
}

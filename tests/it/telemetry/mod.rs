//! Metrics, logs and traces, without the gateway around them.

mod exporter;

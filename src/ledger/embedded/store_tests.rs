//! A file of an unknown version is left alone.
#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn a_file_of_another_format_is_not_opened() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let database = open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = open(&path).err().unwrap();
    assert!(matches!(error, OpenError::Format { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("has format 2, this version knows format 1"), "{error}");
}

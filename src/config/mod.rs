//! map
pub mod file;
pub mod report;
mod tree;

#[cfg(test)]
mod scratch {
    use super::*;
    #[test]
    fn scratch() {
        let n = tree::Node::read("a: &x 30\nb: *x\nc:\nd: null\ne: ~\nf: 12e456789012\ng: \"30\"\nh: [1, -2.50, yes, true, 'x']\ni: {a: 1, a: 2}\nj: &m\n  k: 1\nl:\n  <<: *m\n  z: 0755\n123: 1_000\nm: 0.0250 # hi\n");
        match n { Ok(n) => println!("{n:#?}"), Err(e) => println!("ERR {:?} {}", e.place, e.message) }
        for bad in ["a: [1", "a:\n\tb: 1", "a: b: c", "---\na: 1\n---\nb: 2", "", "a: *q", "a: 1\n b: 2", "a: \"x", "&a [*a]"] {
        match tree::Node::read(bad) { Ok(n) => println!("{bad:?} OK {n:?}"), Err(e) => println!("{bad:?} ERR {:?} {}", e.place, e.message) }
        }
        let schema = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true).into_generator().into_root_schema_for::<file::File>();
        std::fs::write("/tmp/schema-inline.json", serde_json::to_string_pretty(&schema).unwrap()).unwrap();
    }
}

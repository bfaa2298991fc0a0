//! Imports of rooms, and of files, as a graph, and its cycles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::source::Source;

/// Who names whom, with one place where it does.
#[derive(Default)]
pub(super) struct Graph {
    edges: BTreeMap<String, BTreeMap<String, String>>,
}

impl Graph {
    /// The rooms of the product.
    pub(super) fn of_rooms(sources: &[Source]) -> Self {
        let mut graph = Self::default();
        for source in sources.iter().filter(|source| !["main", "lib"].contains(&source.room())) {
            graph.edges.entry(source.room().to_owned()).or_default();
            for path in &source.paths {
                let Some(room) =
                    path.strip_prefix("crate::").and_then(|rest| rest.split("::").next())
                else {
                    continue;
                };
                // A glob at the root, and what the root itself has, is no room.
                if sources.iter().any(|source| source.room() == room) {
                    graph.add(source.room(), room, format!("{} names {path}", source.name));
                }
            }
        }
        graph
    }

    /// The files of one crate, all of whose names begin with `root`. A file does not need
    /// what it only re-exports (`pub use`): the importer needs the file that has it.
    pub(super) fn of_files(sources: &[Source], root: &str) -> Self {
        let files: Vec<&Source> =
            sources.iter().filter(|source| source.name.starts_with(root)).collect();
        let mut modules: BTreeMap<String, &Source> =
            files.iter().map(|source| (source.module(), *source)).collect();
        for (module, file) in files.iter().flat_map(|source| source.modules_elsewhere()) {
            modules.extend(
                sources.iter().find(|source| source.name == file).map(|source| (module, source)),
            );
        }
        let mut graph = Self::default();
        for (module, source) in &modules {
            graph.edges.entry(source.name.clone()).or_default();
            // A module that is only brought in is needed for what is named through it.
            for path in source.needs.iter().filter(|path| !modules.contains_key(*path)) {
                if let Some(there) = defined_in(&modules, module, path, 0) {
                    graph.add(&source.name, &there.name, path.clone());
                }
            }
        }
        graph
    }

    fn add(&mut self, from: &str, to: &str, why: String) {
        if from != to {
            self.edges.entry(from.to_owned()).or_default().entry(to.to_owned()).or_insert(why);
        }
    }

    /// All files, each after those that it imports. Empty when there is no such order.
    pub(super) fn in_order(&self) -> Vec<&str> {
        let mut order: Vec<&str> = Vec::new();
        while order.len() < self.edges.len() {
            let is_next = |(name, known): &(&String, &BTreeMap<String, String>)| {
                !order.contains(&name.as_str())
                    && known.keys().all(|known| order.contains(&known.as_str()))
            };
            let Some((next, _)) = self.edges.iter().find(is_next) else { return Vec::new() };
            order.push(next);
        }
        order
    }

    /// Imports of a file that does not come earlier in this order.
    pub(super) fn against(&self, order: &[&str]) -> Vec<String> {
        let place =
            |name: &str| order.iter().position(|there| *there == name).unwrap_or(usize::MAX);
        let edges = self
            .edges
            .iter()
            .flat_map(|(from, known)| known.iter().map(move |(to, why)| (from, to, why)));
        edges
            .filter(|(from, to, _)| place(to) >= place(from))
            .map(|(from, to, why)| format!("{to} does not stand before {from}: {why}"))
            .collect()
    }

    /// All knots: everyone who can be reached from whomever it reaches, together.
    pub(super) fn knots(&self) -> Vec<BTreeSet<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.edges.keys().map(|name| (name.as_str(), self.reached_from(name))).collect();
        let mut knots: Vec<BTreeSet<&str>> = Vec::new();
        for (name, reaches) in &reached {
            let both = |other: &&&str| reached[**other].contains(name);
            let knot: BTreeSet<&str> = reaches.iter().filter(both).copied().collect();
            if !knot.is_empty() && !knots.contains(&knot) {
                knots.push(knot);
            }
        }
        knots
    }

    fn reached_from(&self, start: &str) -> BTreeSet<&str> {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![start]);
        while let Some(name) = waiting.pop() {
            for known in self.edges[name].keys() {
                if reached.insert(known.as_str()) {
                    waiting.push(known);
                }
            }
        }
        reached
    }

    /// The shortest way within a knot that leads back to where it began, step by step.
    pub(super) fn cycle(&self, knot: &BTreeSet<&str>) -> String {
        let way = knot
            .iter()
            .filter_map(|start| self.way_back(start))
            .min_by_key(Vec::len)
            .unwrap_or_default();
        let steps = way.windows(2).map(|step| {
            format!("\n    {} → {}: {}", step[0], step[1], self.edges[step[0]][step[1]])
        });
        format!("{}{}", way.join(" → "), steps.collect::<String>())
    }

    fn way_back<'a>(&'a self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut ways = VecDeque::from([vec![start]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for known in self.edges[*way.last()?].keys() {
                let longer = way.iter().copied().chain([known.as_str()]).collect();
                if known == start {
                    return Some(longer);
                }
                if seen.insert(known) {
                    ways.push_back(longer);
                }
            }
        }
        None
    }
}

/// The file that has what a path names that stands in this module: not the one that shows it again
/// under its own name. `None`: it is no file of this crate.
fn defined_in<'a>(
    modules: &BTreeMap<String, &'a Source>,
    from: &str,
    path: &str,
    depth: usize,
) -> Option<&'a Source> {
    let (first, rest) = path.split_once("::").unwrap_or((path, ""));
    let mut module = if first == "crate" { first.to_owned() } else { format!("{from}::{first}") };
    let mut file = modules.get(&module)?;
    let mut segments = rest.split("::").filter(|segment| !segment.is_empty());
    while let Some(segment) = segments.next() {
        let below = format!("{module}::{segment}");
        if let Some(deeper) = modules.get(&below) {
            (module, file) = (below, deeper);
            continue;
        }
        let Some(import) = file.imports.iter().find(|import| import.name == segment) else { break };
        if depth > modules.len() {
            return None;
        }
        let rest: String = segments.map(|segment| format!("::{segment}")).collect();
        return defined_in(modules, &module, &format!("{}{rest}", import.path), depth + 1);
    }
    Some(file)
}

#[test]
fn a_cycle_is_found_and_a_mere_reexport_is_none() {
    let file = |name: &str, text: &str| Source::new(format!("src/{name}"), text.to_owned());
    let plain = [
        file("lib.rs", "pub mod a; pub mod b;"),
        file("a/mod.rs", "mod x; mod y; pub use x::X; pub use y::Y;"),
        file("a/x.rs", "use super::Y; pub struct X(Y); mod tests { use super::*; }"),
        file("a/y.rs", "use crate::b::b; pub struct Y;"),
        file("b.rs", "pub fn b() {}"),
    ];
    let (rooms, files) = (Graph::of_rooms(&plain), Graph::of_files(&plain, "src/"));
    assert_eq!(rooms.in_order(), ["b", "a"]);
    assert!(rooms.knots().is_empty() && files.knots().is_empty());
    assert_eq!(
        rooms.against(&["a", "b"]),
        ["b does not stand before a: src/a/y.rs names crate::b::b"]
    );
    assert_eq!(
        files.against(&["src/lib.rs", "src/b.rs", "src/a/y.rs", "src/a/x.rs", "src/a/mod.rs"]),
        Vec::<String>::new()
    );

    let mut knotted = plain;
    knotted[4] = file("b.rs", "pub fn b() { crate::a::X::new(); }");
    let (rooms, files) = (Graph::of_rooms(&knotted), Graph::of_files(&knotted, "src/"));
    assert!(rooms.in_order().is_empty());
    let [knot] = &rooms.knots()[..] else { panic!("one knot of rooms") };
    assert_eq!(
        rooms.cycle(knot),
        "a → b → a\n    a → b: src/a/y.rs names crate::b::b\n\
         \x20   b → a: src/b.rs names crate::a::X::new"
    );
    let [knot] = &files.knots()[..] else { panic!("one knot of files") };
    assert!(files.cycle(knot).starts_with("src/a/x.rs → src/a/y.rs → src/b.rs → src/a/x.rs"));
}

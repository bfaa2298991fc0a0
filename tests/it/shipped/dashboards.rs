//! The boards and the rules ask only for what the gateway shows: every expression is PromQL and
//! names only metrics and labels of the table of metrics, so that a renamed metric cannot leave a
//! panel or an alert empty. And the reference says of every metric what the table says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use moongate::clock::Clock;
use moongate::telemetry::Metrics;
use moongate::telemetry::metrics::{Catalogue, Format};
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Call, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

/// What Prometheus itself adds to every series, in a test, on a plain machine and in Kubernetes.
const OF_THE_TARGET: [&str; 4] = ["namespace", "job", "instance", "pod"];

/// Metrics by name, each with its labels.
type Shown = BTreeMap<String, BTreeSet<String>>;

fn labels<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().chain(OF_THE_TARGET).map(str::to_owned).collect()
}

/// What the gateway shows: its own table, and what the process says of itself.
fn exported() -> Shown {
    let mut shown = Shown::new();
    for entry in Catalogue::TABLE {
        let own = labels(entry.labels.iter().copied());
        let bucket = own.iter().cloned().chain(["le".to_owned()]).collect();
        shown.insert(format!("{}_bucket", entry.name), bucket);
        shown.insert(format!("{}_sum", entry.name), own.clone());
        shown.insert(format!("{}_count", entry.name), own.clone());
        shown.insert(entry.name.to_owned(), own);
    }
    shown.extend(of_the_process().into_keys().map(|name| {
        let of_runtimes = name.starts_with("tokio_").then_some("runtime");
        (name, labels(of_runtimes))
    }));
    shown.insert("up".to_owned(), labels([]));
    shown.insert("ALERTS".to_owned(), labels(["alertname", "alertstate", "severity"]));
    shown
}

/// What the process says of itself and of its runtimes, each with its help.
fn of_the_process() -> BTreeMap<String, String> {
    let metrics = Metrics::new(Clock::system()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics.add_runtime("main", runtime.metrics());
    let text = String::from_utf8(metrics.render(Format::Text)).unwrap();
    let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let is_own = |(name, _): &(&str, &str)| name.starts_with("moongate_");
    let others = helps.filter(|help| !is_own(help));
    others.map(|(name, help)| (name.to_owned(), help.to_owned())).collect()
}

/// Walks one expression and notes what is wrong with it.
struct Reader<'a> {
    shown: &'a Shown,
    /// Gauges that must not be added up over replicas.
    shared: BTreeSet<&'static str>,
    /// Labels that something in the expression has.
    known: BTreeSet<String>,
    /// Labels that the expression groups or matches by.
    grouped: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        let name = selector.name.as_deref().unwrap_or_default();
        let Some(labels) = self.shown.get(name) else {
            self.wrong.push(format!("there is no metric {name}"));
            return;
        };
        self.known.extend(labels.iter().cloned());
        for matcher in
            selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten())
        {
            if !labels.contains(&matcher.name) {
                self.wrong.push(format!("{name} has no label {}", matcher.name));
            }
        }
    }

    /// Rates are of counters.
    fn call(&mut self, call: &Call) {
        if !["rate", "increase", "irate"].contains(&call.func.name) {
            return;
        }
        let Some(Expr::MatrixSelector(range)) = call.args.args.first().map(Box::as_ref) else {
            return;
        };
        let name = range.vs.name.as_deref().unwrap_or_default();
        if !["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)) {
            self.wrong.push(format!("{} of {name}, which is no counter", call.func.name));
        }
    }
}

impl ExprVisitor for Reader<'_> {
    type Error = ();

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, ()> {
        if let Expr::Aggregate(aggregate) = expr
            && !["max", "min", "topk", "bottomk", "group"]
                .contains(&aggregate.op.to_string().as_str())
        {
            for name in
                added_up(&aggregate.expr).into_iter().filter(|name| self.shared.contains(*name))
            {
                self.wrong.push(format!(
                    "{} of {name}, which is the same on every replica",
                    aggregate.op
                ));
            }
        }
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(range) => self.selector(&range.vs),
            Expr::Call(call) => self.call(call),
            Expr::Aggregate(AggregateExpr { modifier: Some(by), .. }) => {
                self.grouped.extend(by.labels().labels.iter().cloned());
            }
            Expr::Binary(BinaryExpr { modifier: Some(modifier), .. }) => {
                let matched = modifier.matching.iter().flat_map(|on| &on.labels().labels);
                let carried = modifier.card.labels().into_iter().flat_map(|labels| &labels.labels);
                self.grouped.extend(matched.chain(carried).cloned());
            }
            Expr::Aggregate(_)
            | Expr::Unary(_)
            | Expr::Binary(_)
            | Expr::Paren(_)
            | Expr::Subquery(_) => {}
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
        Ok(true)
    }
}

/// The metrics whose series come one by one into an expression, so that each replica's is in it.
fn added_up(expr: &Expr) -> Vec<&str> {
    match expr {
        Expr::VectorSelector(selector) => selector.name.as_deref().into_iter().collect(),
        Expr::MatrixSelector(range) => range.vs.name.as_deref().into_iter().collect(),
        Expr::Call(call) => call.args.args.iter().flat_map(|arg| added_up(arg)).collect(),
        Expr::Binary(binary) => [added_up(&binary.lhs), added_up(&binary.rhs)].concat(),
        Expr::Paren(paren) => added_up(&paren.expr),
        Expr::Unary(unary) => added_up(&unary.expr),
        Expr::Subquery(subquery) => added_up(&subquery.expr),
        // What was one of all replicas' already.
        Expr::Aggregate(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// The gauges of which each replica shows the whole, by their own words.
fn shared() -> BTreeSet<&'static str> {
    let shared =
        Catalogue::TABLE.iter().filter(|entry| entry.help.contains("the same on every replica"));
    shared.map(|entry| entry.name).collect()
}

/// What is wrong with an expression. `named` are labels that words beside it use: a legend, an
/// annotation.
fn problems(shown: &Shown, expression: &str, named: &[String]) -> Vec<String> {
    let parsed = match parser::parse(expression) {
        Ok(parsed) => parsed,
        Err(error) => return vec![format!("{error}: {expression}")],
    };
    let (known, grouped) = (BTreeSet::new(), BTreeSet::new());
    let mut reader = Reader { shown, shared: shared(), known, grouped, wrong: Vec::new() };
    walk_expr(&mut reader, &parsed).unwrap();
    let used = reader.grouped.iter().chain(named);
    let unknown: Vec<String> = used
        .filter(|label| !reader.known.contains(*label))
        .map(|label| format!("nothing has a label {label}"))
        .collect();
    reader.wrong.extend(unknown);
    reader.wrong.into_iter().map(|problem| format!("{problem}: {expression}")).collect()
}

/// The names between `open` and `close` in a text: `{{team}}` in a legend, `$labels.key ` in an
/// annotation.
fn names_between(text: &str, open: &str, close: char) -> Vec<String> {
    let parts = text.split(open).skip(1);
    parts.filter_map(|part| part.split(close).next()).map(|name| name.trim().to_owned()).collect()
}

/// An expression as Grafana would send it with every variable on `All`.
fn filled(expression: &str) -> String {
    let times = [("$__rate_interval", "1m"), ("$__interval", "1m"), ("$__range", "1h")];
    let all = [("$namespace", ".*"), ("$team", ".*"), ("$budget", ".*")];
    times
        .into_iter()
        .chain(all)
        .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path))
        .unwrap()
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

const BOARDS: [&str; 3] = ["gateway", "team", "money"];

fn board(name: &str) -> Value {
    serde_json::from_str(&read(&format!("grafana/moongate-{name}.json"))).unwrap()
}

#[test]
fn every_board_query_is_about_a_metric_the_gateway_shows() {
    let shown = exported();
    for (name, least) in BOARDS.into_iter().zip([70, 30, 15]) {
        let board = board(name);
        let rows = list(&board, "panels");
        let panels = rows.flat_map(|panel| [panel].into_iter().chain(list(panel, "panels")));
        let (mut wrong, mut queries) = (Vec::new(), 0);
        for (panel, target) in
            panels.flat_map(|panel| list(panel, "targets").map(move |t| (panel, t)))
        {
            let legend = names_between(target["legendFormat"].as_str().unwrap(), "{{", '}');
            let found = problems(&shown, &filled(target["expr"].as_str().unwrap()), &legend);
            wrong.extend(found.into_iter().map(|problem| format!("{}: {problem}", panel["title"])));
            queries += 1;
        }
        for annotation in list(&board["annotations"], "list") {
            wrong.extend(problems(&shown, &filled(annotation["expr"].as_str().unwrap()), &[]));
        }
        assert!(queries > least, "only {queries} queries of {name}: has the board another form?");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn the_variables_of_the_boards_offer_labels_the_gateway_shows() {
    let shown = exported();
    for board in BOARDS.map(board) {
        let queries = list(&board["templating"], "list")
            .filter_map(|variable| variable["query"]["query"].as_str());
        let mut offered = 0;
        for query in queries {
            let inner = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
            let (selector, label) = inner.rsplit_once(", ").unwrap();
            let found = problems(&shown, &filled(selector), &[label.to_owned()]);
            assert_eq!(found, Vec::<String>::new());
            offered += 1;
        }
        assert!(offered >= 2, "{}", board["title"]);
    }
}

/// A row of the reference: name, labels and meaning.
fn documented() -> BTreeMap<String, (Vec<String>, String)> {
    let text = read("metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, _kind, labels, unit, meaning, worry] = cells[..] else {
            panic!("a row of other columns: {row}")
        };
        assert!(!unit.is_empty() && !worry.is_empty(), "{row}");
        let labels = labels.split(", ").filter(|label| *label != "none");
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        (name.trim_matches('`').to_owned(), (labels, meaning.to_owned()))
    })
    .collect()
}

#[test]
fn the_metrics_reference_says_what_the_table_of_metrics_says() {
    let catalogue = Catalogue::TABLE.iter().map(|entry| {
        let labels: Vec<String> = entry.labels.iter().copied().map(str::to_owned).collect();
        (entry.name.to_owned(), (labels, entry.help.to_owned()))
    });
    let others = of_the_process().into_iter().map(|(name, help)| {
        let of_runtimes = name.starts_with("tokio_").then(|| "runtime".to_owned());
        (name, (of_runtimes.into_iter().collect(), help))
    });
    let metrics: BTreeMap<_, _> = catalogue.chain(others).collect();
    let documented = documented();
    for (name, description) in &metrics {
        assert_eq!(documented.get(name), Some(description), "{name} in deploy/metrics.md");
    }
    let gone: Vec<_> = documented.keys().filter(|name| !metrics.contains_key(*name)).collect();
    assert!(gone.is_empty(), "no longer shown, in deploy/metrics.md: {gone:?}");
}

#[test]
fn every_alert_rule_is_about_something_that_is_recorded() {
    let mut shown = exported();
    let rules: Value = serde_saphyr::from_str(&read("prometheus/rules.yaml")).unwrap();
    let mut wrong = Vec::new();
    for rule in list(&rules, "groups").flat_map(|group| list(group, "rules")) {
        let words: String = list_of_texts(&rule["annotations"]).concat();
        let named = names_between(&words, "$labels.", ' ');
        wrong.extend(problems(&shown, rule["expr"].as_str().unwrap(), &named));
        if let Some(record) = rule["record"].as_str() {
            // `level:metric:operations`: the level is the labels that are left.
            let (level, _) = record.split_once(':').unwrap();
            shown.insert(record.to_owned(), level.split('_').map(str::to_owned).collect());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn list_of_texts(of: &Value) -> Vec<&str> {
    of.as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str()).collect()
}

#[test]
fn no_gauge_of_a_whole_team_is_summed_over_replicas() {
    let shown = exported();
    assert!(
        shared().contains("moongate_reservations_open") && shared().contains("moongate_limit_used")
    );
    for bad in [
        "sum by (team) (moongate_reservations_open{team=~\"a\"})",
        "avg(moongate_limit_used)",
        "sum(max_over_time(moongate_reservations_open[1h]) > 0)",
    ] {
        assert_eq!(problems(&shown, bad, &[]).len(), 1, "{bad}");
    }
    for good in [
        "max by (team) (moongate_reservations_open)",
        "sum(max by (team) (moongate_reservations_open))",
    ] {
        assert_eq!(problems(&shown, good, &[]), Vec::<String>::new());
    }
}

#[test]
fn a_renamed_metric_or_label_is_noticed() {
    let shown = exported();
    let good = "sum by (team) (rate(moongate_team_credits_total{team=~\"a\"}[1m]))";
    assert_eq!(problems(&shown, good, &["team".to_owned()]), Vec::<String>::new());
    for bad in [
        "sum(rate(moongate_team_coins_total[1m]))",
        "sum(rate(moongate_team_credits_total{user=\"a\"}[1m]))",
        "sum by (user) (rate(moongate_team_credits_total[1m]))",
        "rate(moongate_limit_used[1m])",
        "sum(rate(moongate_team_credits_total[1m])",
    ] {
        assert_eq!(problems(&shown, bad, &[]).len(), 1, "{bad}");
    }
}

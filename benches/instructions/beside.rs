//! Prints what recording traces takes, beside the same calls without.

use crate::budgets::Figure;

/// One line for each kind of call; both lists are of the same kinds.
pub fn print(without: &[Figure], with: &[Figure], share: f64) {
    let title = format!("{share} of the traces");
    println!(
        "{:<32} {:>12} {title:>20} {:>10} {:>8}",
        "instructions a call", "no traces", "more", ""
    );
    for (before, now) in without.iter().zip(with) {
        let more = now.count.cast_signed() - before.count.cast_signed();
        let part = more as f64 / before.count.max(1) as f64 * 100.0;
        println!(
            "{:<32} {:>12} {:>20} {more:>+10} {part:>+6.1} %",
            before.what, before.count, now.count
        );
    }
}

/// What of a whole call with a key is tracing while no trace is recorded, and what the trace's id.
pub fn print_parts([tracing, id]: [u64; 2]) {
    println!("\nof a whole call with a key, no traces");
    println!("{:<32} {tracing:>12}", "tracing");
    println!("{:<32} {id:>12}", "the trace's id and its header");
}

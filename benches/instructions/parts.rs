//! How much of a call one part of the program executes: its functions, wherever the compiler put
//! them.
//!
//! Few functions of an optimised program stand by themselves; most stand inside their callers. So
//! each instruction is looked up: it stands in one function or in several, one inside the other,
//! and is of a part if one of them is. What it calls is of the part, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::outcome::Outcome;

/// What callgrind must note for this, and write down plainly.
pub const NOTES: [&str; 3] = ["--dump-instr=yes", "--compress-pos=no", "--compress-strings=no"];

/// Functions of a part: those with this in their name, in files with this in their path.
pub struct Functions {
    pub named: &'static str,
    pub file: &'static str,
}

impl Functions {
    fn have(&self, function: &str, file: &str) -> bool {
        function.contains(self.named) && file.contains(self.file)
    }
}

/// What a program executed.
#[derive(Default)]
struct Executed {
    /// How often each of its instructions was.
    own: BTreeMap<u64, u64>,
    calls: Vec<Call>,
}

/// What was executed below a call.
struct Call {
    from: u64,
    /// Where it went, unless that is another program's.
    to: Option<u64>,
    count: u64,
}

/// How many instructions each of these parts took, with what it called.
///
/// # Errors
/// The profile cannot be read, or the program's instructions cannot be looked up.
pub fn executed<const N: usize>(
    program: &Path,
    profile: &Path,
    parts: [&[Functions]; N],
) -> Outcome<[u64; N]> {
    let Executed { own, calls } = read(&fs::read_to_string(profile)?, program)?;
    let of_calls = calls.iter().flat_map(|call| [Some(call.from), call.to]).flatten();
    let addresses: BTreeSet<u64> = own.keys().copied().chain(of_calls).collect();
    let places = looked_up(program, &addresses, &profile.with_extension("addresses"))?;
    let counts = parts.map(|part| {
        let is_of_it = |at: u64| {
            let around = places.get(&at).into_iter().flatten();
            around.into_iter().any(|(name, file)| part.iter().any(|one| one.have(name, file)))
        };
        let own = own.iter().filter(|(at, _)| is_of_it(**at)).map(|(_, count)| count);
        // What is called and of the part itself is among its own already.
        let leaves = |call: &&Call| is_of_it(call.from) && !call.to.is_some_and(is_of_it);
        own.sum::<u64>() + calls.iter().filter(leaves).map(|call| call.count).sum::<u64>()
    });
    if counts.contains(&0) {
        return Err("nothing of a part was executed: are its files and functions called so?".into());
    }
    Ok(counts)
}

/// Reads what callgrind noted of this program, leaving out what it did in libraries.
fn read(text: &str, program: &Path) -> Outcome<Executed> {
    let program = fs::canonicalize(program)?;
    let address = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
    let mut executed = Executed::default();
    // Whether what follows is the program's own, and where the call goes that follows.
    let (mut is_own, mut is_elsewhere, mut call) = (false, false, None);
    for line in text.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_own = Path::new(object) == program;
        } else if line.starts_with("cob=") {
            is_elsewhere = true;
        } else if let Some(noted) = line.strip_prefix("calls=") {
            let to = noted.split(' ').nth(1).map(address).transpose()?;
            call = Some(to.filter(|_| !std::mem::take(&mut is_elsewhere)));
        } else if line.starts_with("0x") {
            // An instruction's address, its line in the source, and how much was executed.
            let mut words = line.split(' ');
            let from = address(words.next().unwrap_or_default())?;
            let count = words.nth(1).map_or(Ok(0), str::parse)?;
            match (is_own, call.take()) {
                (true, Some(to)) => executed.calls.push(Call { from, to, count }),
                (true, None) => *executed.own.entry(from).or_default() += count,
                (false, _) => {}
            }
        }
    }
    if executed.own.is_empty() {
        return Err(format!("callgrind noted nothing of {}", program.display()).into());
    }
    Ok(executed)
}

/// The functions that an instruction stands in, each with its file.
type Around = Vec<(String, String)>;

/// Looks up where instructions stand.
fn looked_up(
    program: &Path,
    addresses: &BTreeSet<u64>,
    list: &Path,
) -> Outcome<BTreeMap<u64, Around>> {
    let text: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    fs::write(list, text)?;
    let answer = Command::new("addr2line")
        .args(["--addresses", "--functions", "--inlines", "--demangle", "--exe"])
        .arg(program)
        .stdin(Stdio::from(File::open(list)?))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("addr2line, of the package binutils: {error}"))?;
    if !answer.status.success() {
        return Err("addr2line failed".into());
    }
    // The address, and then two lines for each function around it: its name, and its file.
    let text = String::from_utf8_lossy(&answer.stdout);
    let (mut places, mut at, mut lines) = (BTreeMap::<u64, Around>::new(), 0, text.lines());
    while let Some(line) = lines.next() {
        if let Some(digits) = line.strip_prefix("0x") {
            at = u64::from_str_radix(digits, 16)?;
        } else if let Some(file) = lines.next() {
            places.entry(at).or_default().push((line.to_owned(), file.to_owned()));
        }
    }
    Ok(places)
}

//! Typed reading of Redis's answers. A value of an unexpected type is an outage that names what was
//! expected.

use redis::{FromRedisValue, Value};

use super::Outage;

/// Reads an answer. `what` names it for the operator who must find out what is wrong: `a scope`,
/// `the key registry`.
///
/// # Errors
/// The answer is of another type.
pub(crate) fn read<T: FromRedisValue>(answer: Value, what: &str) -> Result<T, Outage> {
    redis::from_redis_value(answer).map_err(|_| unreadable(what))
}

/// The outage for a value that this gateway did not write.
pub(crate) fn unreadable(what: &str) -> Outage {
    Outage::Refused(format!("{what} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_an_outage_that_names_it() {
        let (text, number) = (Value::BulkString(b"seven".to_vec()), Value::Int(7));
        assert_eq!(read::<String>(text.clone(), "a name").ok().as_deref(), Some("seven"));
        assert_eq!(read::<u64>(number, "a number").ok(), Some(7));
        let outage = read::<u64>(text, "a number").map(drop).map_err(|outage| outage.to_string());
        assert_eq!(outage, Err("the ledger refused: a number cannot be read".to_owned()));
    }
}

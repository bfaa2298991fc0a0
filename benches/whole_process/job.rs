//! The job: the call that is made and the answer that is given, byte for byte, and how both are
//! read.

use memchr::memmem;

/// The key that only the upstream and the proxies know.
pub const SHARED_KEY: &str = "fm_bench_0123456789abcdef0123456789abcdef";
/// What the upstream wants to see before it answers.
pub const SHARED_CREDENTIAL: &[u8] = b"Bearer fm_bench_0123456789abcdef0123456789abcdef";
/// A model that answers at once.
pub const FAST: &str = "flux/dev";
/// A model that answers after two seconds.
pub const SLOW: &str = "flux/slow";

const CALL_BODY_BYTES: usize = 300;
const ANSWER_BODY_BYTES: usize = 500;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A call of a model with a credential, ready to be written.
pub fn call(model: &str, credential: &str) -> Vec<u8> {
    let body = call_body();
    format!(
        "POST /api/v1/{model} HTTP/1.1\r\nhost: moongate.internal\r\n\
         authorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\naccept: application/json\r\n\
         user-agent: ai-sdk/6.0\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}

fn call_body() -> String {
    let (before, after) = (
        r#"{"prompt":""#,
        concat!(
            r#"","num_images":1,"image_size":"landscape_4_3","guidance_scale":3.5,"#,
            r#""num_inference_steps":28,"seed":42}"#
        ),
    );
    let prompt = "a lighthouse on a cliff under two moons, oil on canvas, ".repeat(6);
    let prompt = &prompt[..CALL_BODY_BYTES - before.len() - after.len()];
    format!("{before}{prompt}{after}")
}

/// The body of a good answer: one image, as Firemoon answers.
pub fn answer_body() -> String {
    let (before, after) = (
        r#"{"images":[{"url":"https://blob.vercel-storage.com/"#,
        concat!(
            r#".jpg","width":1024,"height":768,"content_type":"image/jpeg"}],"#,
            r#""seed":123456789,"has_nsfw_concepts":[false],"timings":{"inference":2.5}}"#
        ),
    );
    let name = "generations/0123456789abcdef/".repeat(16);
    let name = &name[..ANSWER_BODY_BYTES - before.len() - after.len()];
    format!("{before}{name}{after}")
}

/// The upstream's answer to a call with the shared key.
pub fn good_answer() -> Vec<u8> {
    let body = answer_body();
    format!(
        "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\
         x-ratelimit-limit: 60\r\nx-ratelimit-remaining: 59\r\nx-ratelimit-reset: 1795348800\r\n\
         x-vercel-id: fra1::bench\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}

/// The upstream's answer to anyone else.
pub const UNKNOWN_CALLER: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n\
      {\"error\":\"Invalid API key\"}";

/// Where the parts of a message are that was read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Bytes of the head, its blank line included.
    pub head: usize,
    /// Bytes of head and body.
    pub whole: usize,
}

impl Message {
    /// Finds the end of the first message in these bytes; `Ok(None)` when it is not there yet.
    ///
    /// # Errors
    /// The head has no `content-length`: neither side of this benchmark sends anything else.
    pub fn find(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some(head_end) = memmem::find(bytes, HEAD_END) else { return Ok(None) };
        let head = head_end + HEAD_END.len();
        let length = content_length(&bytes[..head_end]).ok_or_else(|| {
            format!("no content-length in {:?}", String::from_utf8_lossy(&bytes[..head_end]))
        })?;
        let whole = head + length;
        Ok((bytes.len() >= whole).then_some(Self { head, whole }))
    }
}

/// The status of an answer whose head begins these bytes; 0 when it is not HTTP/1.1.
pub fn status(bytes: &[u8]) -> u16 {
    let digits = bytes.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    digits
        .and_then(|digits| str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut line_start = 0;
    for line_end in memchr::memchr_iter(b'\n', head).chain([head.len()]) {
        let line = head.get(line_start..line_end)?;
        line_start = line_end + 1;
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            return str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok();
        }
    }
    None
}

/// Checks the reader on bytes whose answer is known, before anything is measured with it.
///
/// # Errors
/// It reads one of them wrong, or the job has not the sizes it should have.
pub fn check() -> Result<(), String> {
    let answer = good_answer();
    let found = Message::find(&answer)?.ok_or("the end of an answer was not found")?;
    let call = call(FAST, "x");
    let called = Message::find(&call)?.ok_or("the end of a call was not found")?;
    let odd = b"HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length:  2 \r\n\r\nhi";
    let right = found.whole == answer.len()
        && found.whole - found.head == ANSWER_BODY_BYTES
        && called.whole - called.head == CALL_BODY_BYTES
        && status(&answer) == 200
        && status(odd) == 404
        && Message::find(odd)?.map(|message| message.whole) == Some(odd.len())
        && Message::find(&odd[..odd.len() - 1])?.is_none()
        && Message::find(UNKNOWN_CALLER)?.map(|message| message.whole)
            == Some(UNKNOWN_CALLER.len())
        && Message::find(b"HTTP/1.1 204 No Content\r\n\r\n").is_err();
    if right { Ok(()) } else { Err("the benchmark's own reader of HTTP is wrong".to_owned()) }
}

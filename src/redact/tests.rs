use super::*;

const KEY: &str = "open-sesame/1234+x";

fn redactor() -> Redactor {
    Redactor::new([KEY.to_owned(), "user:p4ss:word".to_owned(), "Bearer tok3n-of-somebody".to_owned()])
}

fn each(text: &str, encode: impl Fn(u8) -> String) -> String {
    text.bytes().map(encode).collect()
}

/// Returns a secret in every form that servers write.
fn writings(secret: &str) -> Vec<(&'static str, String)> {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let url_safe = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let reserved =
        |b: u8| if b.is_ascii_alphanumeric() || b == b'-' { char::from(b).to_string() } else { format!("%{b:02X}") };
    vec![
        ("plain", secret.to_owned()),
        ("upper case", secret.to_ascii_uppercase()),
        ("percent", each(secret, |b| format!("%{b:02x}"))),
        ("percent twice", each(secret, |b| format!("%25{b:02X}"))),
        ("form", each(secret, reserved)),
        ("JSON", each(secret, |b| format!("\\u{b:04x}"))),
        ("JSON in JSON", each(secret, |b| format!("\\\\u{b:04x}"))),
        ("escaped slashes", secret.replace('/', "\\/")),
        ("hex", each(secret, |b| format!("\\x{b:02x}"))),
        ("HTML", each(secret, |b| format!("&#{b};"))),
        ("HTML, hex", each(secret, |b| format!("&#x{b:X};"))),
        ("base64", base64(secret)),
        ("base64 of more", base64(&format!("ab{secret}cd"))),
        ("base64 of more, shifted", base64(&format!("a{secret}"))),
        ("base64 for URLs", url_safe(&format!("{{\"k\":\"{secret}\"}}"))),
        ("chunked", each(secret, |b| format!("{}\r\n1;x=y\r\n", char::from(b)))),
    ]
}

/// Returns true if enough of a secret is visible to complete it.
fn betrays(text: &str, written: &str) -> bool {
    let all: Vec<char> = written.chars().collect();
    let longest = all.len().min(10);
    all.windows(longest).any(|part| text.contains(&part.iter().collect::<String>()))
}

#[test]
fn secrets_are_found_in_every_writing() {
    let redactor = redactor();
    for secret in [KEY, "p4ss:word", "user:p4ss:word", "tok3n-of-somebody"] {
        let secret_words = if secret == "p4ss:word" { "user:p4ss:word" } else { secret };
        for (how, written) in writings(secret_words) {
            let text = format!("{{\"error\": \"bad: {written} !\"}}");
            let shown = redactor.hide(&text);
            assert!(shown.contains(HIDDEN) && !betrays(&shown, &written), "{secret}, {how}: {shown}");
            assert!(shown.starts_with("{\"error\": \"bad: "), "{shown}");
        }
    }
}

#[test]
fn a_secret_that_was_cut_is_hidden_as_well() {
    let redactor = redactor();
    for (how, written) in writings(KEY).into_iter().filter(|(how, _)| !how.starts_with("base64") && *how != "chunked") {
        let unit = written.len() / KEY.len();
        for cut in (BETRAYED + 1) * unit..written.len() {
            let Some(part) = written.get(..cut) else { continue };
            let shown = redactor.hide(&format!("said {part}"));
            assert!(shown == format!("said {HIDDEN}"), "{how}, cut at {cut}: {shown}");
        }
    }
    for from in 1..KEY.len() - BETRAYED {
        let shown = redactor.hide(&format!("{} was it", &KEY[from..]));
        assert!(shown.starts_with(HIDDEN), "from {from}: {shown}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    let redactor = redactor();
    for text in ["", "open the door", "100% of \\ & all", "a%", "\\u00", "&amp", "Bearer", "ope", "1+1 = 2\r\n5\r\n"] {
        assert_eq!(redactor.hide(text), text);
    }
    assert_eq!(Redactor::default().foreign(b"plain\r\ntext"), "plain\ntext");
    assert_eq!(format!("{redactor:?}"), HIDDEN);
}

#[test]
fn nobody_is_commanded() {
    let none = Redactor::default();
    let text = "x ::set-output name=a::b ##[error]y\n  ::add-mask::z\nstd::io a::b";
    let shown = none.foreign(text.as_bytes());
    assert_eq!(shown, "x : :set-output name=a::b # #[error]y\n  : :add-mask::z\nstd::io a::b");
    assert!(!shown.lines().any(|line| line.trim_start().starts_with("::")) && !shown.contains("##["));
    let obeyed = "a\x1b[2J\u{9b}31m\u{202e}b\u{2066}\u{200f}\u{feff}\u{2028}c\x07\x7f\u{e0041}";
    assert_eq!(none.foreign(obeyed.as_bytes()), "a?[2J?31m?b????c???");
    assert!(!none.foreign_line(obeyed.as_bytes()).contains(is_obeyed));
    assert_eq!(none.foreign_line(b"\xff\r\n::x"), "\\xff\\r\\n::x");
}

#[test]
fn user_and_password_of_an_address_are_hidden() {
    let none = Redactor::default();
    for (text, expected) in [
        ("http://user:pw@localhost:1/x", "http://[hidden]@localhost:1/x"),
        ("to https://t0ken@h, and ws://a@b@c/", "to https://[hidden]@h, and ws://[hidden]@c/"),
        ("http://localhost/a@b mail@host", "http://localhost/a@b mail@host"),
    ] {
        assert_eq!(none.own(text), expected);
        assert_eq!(none.foreign(text.as_bytes()), expected);
    }
}

#[test]
fn what_looks_like_a_secret_is_hidden() {
    let none = Redactor::default();
    for (text, expected) in [
        ("Incorrect API key provided: sk-proj-abcdef123", "Incorrect API key provided: [hidden]"),
        (r#"{"Authorization": "Bearer abc.def"}"#, r#"{"Authorization": "Bearer [hidden]"}"#),
        ("authorization=Basic dXNlcg==&x=1", "authorization=Basic [hidden]&x=1"),
        (r#"{\"api_key\":\"tiny\"}"#, r#"{\"api_key\":\"[hidden]"}"#),
        ("X-Api-Key: 1234\r\nServer: x", "X-Api-Key: [hidden]\\r\\nServer: x"),
        ("got Bearer eyJhbGciOi.x.y today", "got Bearer [hidden] today"),
        ("Set-Cookie: sid=1; path=/", "Set-Cookie: [hidden]; path=/"),
        // Other texts are not hidden.
        ("the bearer of this task-force risk-free", "the bearer of this task-force risk-free"),
        (r#"{"completion_tokens":5,"cookies":"no"}"#, r#"{"completion_tokens":5,"cookies":"no"}"#),
        ("basic authentication needs authorization, sk-1", "basic authentication needs authorization, sk-1"),
    ] {
        assert_eq!(none.foreign_line(text.as_bytes()), expected);
    }
}

mod any {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Keys of any letters, in any form, between any bytes.
        #[test]
        fn key_is_never_shown(
            key in "[A-Za-z0-9_.:/+=-]{8,60}",
            before in prop::collection::vec(any::<u8>(), 0..40),
            after in prop::collection::vec(any::<u8>(), 0..40),
            how in 0_usize..16,
        ) {
            let redactor = Redactor::new([key.clone()]);
            let (name, written) = writings(&key).swap_remove(how);
            let bytes = [&before[..], b" ", written.as_bytes(), b" ", &after[..]].concat();
            for shown in [redactor.foreign(&bytes), redactor.foreign_line(&bytes)] {
                prop_assert!(!betrays(&shown, &written), "{}: {}", name, shown);
                prop_assert!(!shown.contains(|c| is_obeyed(c) && c != '\n' && c != '\t'), "{}", shown);
                prop_assert!(!shown.lines().any(|line| line.trim_start().starts_with("::")), "{}", shown);
            }
        }
    }
}

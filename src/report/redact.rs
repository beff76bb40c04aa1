//! Text from outside is made safe to show: secrets, control characters, live links and mentions are taken out.
//!
//! Hand-written scanners, since the Lambda does without a regex engine. They err on the side of removing too much.

/// At most this many characters of anything that a node printed (S12).
pub const EXCERPT_MAX: usize = 400;
/// At most this many characters of a name that somebody gave to a resource.
pub const NAME_MAX: usize = 64;

/// At most this many characters of a line of a page: an excerpt within the line of JSON that our own probe wraps it in, which stays one.
const LINE_MAX: usize = EXCERPT_MAX + 100;

const REMOVED: &str = "[removed]";

/// Something that a node printed, fit to be shown and stored: one line without secrets, controls or live links.
#[must_use]
pub fn excerpt(text: &str) -> String {
    excerpt_of(text, EXCERPT_MAX)
}

/// The end of a text of many lines, each of them as safe as an excerpt, at most so many characters in all.
#[must_use]
pub fn page(text: &str, most: usize) -> String {
    let (mut lines, mut left) = (Vec::new(), most);
    for line in text.lines().rev() {
        let line = excerpt_of(line, LINE_MAX);
        let length = line.chars().count().saturating_add(1);
        if length > left {
            break;
        }
        left -= length;
        // Empty lines at the end say nothing.
        if !(line.is_empty() && lines.is_empty()) {
            lines.push(line);
        }
    }
    lines.reverse();
    lines.join("\n")
}

/// The same, cut shorter.
#[must_use]
pub(super) fn excerpt_of(text: &str, most: usize) -> String {
    // Nothing after this is shown, whatever the scanners do with it; a secret cut in two at this edge is cut again below.
    let head: String = text.chars().take(EXCERPT_MAX * 16).collect();
    // Before, since a terminal sequence may swallow the beginning of a secret's name; after, since it may stand inside.
    let visible = visible(&without_secrets(&head));
    let safe = mute_mentions(&defang(&without_secrets(&visible)));
    cut(&safe.split_whitespace().collect::<Vec<_>>().join(" "), most)
}

/// A name that somebody gave to a resource: one line, cut to [`NAME_MAX`].
#[must_use]
pub fn name(text: &str) -> String {
    excerpt_of(text, NAME_MAX)
}

/// The same for a place that takes ASCII only, such as a subject.
#[must_use]
pub fn ascii(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// Escapes what chat would read as markup, a mention or a link. The result belongs inside a code span or plain text.
#[must_use]
pub fn chat(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("(at)"),
            '`' => out.push('\''),
            // Bold and strike-through have no escape that every chat knows; these look-alikes are inert.
            '*' => out.push('\u{2217}'),
            '~' => out.push('\u{223c}'),
            other => out.push(other),
        }
    }
    out
}

/// At most `most` characters; three dots say that something is missing.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(3)).collect();
    short.truncate(short.trim_end().len());
    short.push_str("...");
    short
}

/// Drops control, bidi and other invisible characters and terminal sequences; line breaks and tabs become plain white space.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
            '\t' | '\r' => out.push(' '),
            '\u{1b}' | '\u{9b}' => {
                // CSI: parameters, then one final byte.
                if c == '\u{9b}' || chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|&p| matches!(p, ' '..='?')).is_some() {}
                    let _ = chars.next_if(|&p| matches!(p, '@'..='~'));
                }
            }
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Characters that are not seen but change what is seen: bidi marks, zero-width marks, tags, annotations.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn without_secrets(text: &str) -> String {
    without_pairs(&without_shapes(&without_url_credentials(&without_key_blocks(text))))
}

/// Takes out PEM blocks; one without its end takes the rest with it.
fn without_key_blocks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, block)) = rest.split_once("-----BEGIN") {
        out.push_str(before);
        out.push_str(REMOVED);
        rest = block.split_once("-----END").map_or("", |(_, after)| behind_label(after));
    }
    out.push_str(rest);
    out
}

/// What follows on ` PRIVATE KEY-----`. A label that is never closed ends with its line: the marks of the next block are not its.
fn behind_label(text: &str) -> &str {
    let line = text.split_once('\n').map_or(text, |(line, _)| line);
    match line.split_once("-----") {
        Some((label, _)) => text.get(label.len() + 5..).unwrap_or_default(),
        None => text.get(line.len()..).unwrap_or_default(),
    }
}

/// Takes out `user:password@` of URLs.
fn without_url_credentials(text: &str) -> String {
    let parts = text.split("://").enumerate().map(|(n, part)| {
        let (authority, tail) = authority(n, part, "/?#\"'<>");
        // Its own dots and colons are still needed by the scanners that follow.
        match authority.rsplit_once('@') {
            Some((_, host)) => format!("{REMOVED}@{host}{tail}"),
            None => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("://")
}

/// The authority that a part behind `://` begins with, and what follows it; the part before the first one has none. It ends
/// at the next `://`, too, so that no second URL hides in the first.
fn authority<'a>(number: usize, part: &'a str, ends: &str) -> (&'a str, &'a str) {
    if number == 0 {
        return ("", part);
    }
    let end = part.find(|c: char| c.is_whitespace() || ends.contains(c)).unwrap_or(part.len());
    part.split_at_checked(end).unwrap_or((part, ""))
}

/// Takes out what looks like a key by its shape: access key ids, JWTs, tokens of well-known makers, long base64.
fn without_shapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "+/_-.=".contains(c) {
            word.push(c);
        } else {
            push_word(&mut out, &word);
            word.clear();
            out.push(c);
        }
    }
    push_word(&mut out, &word);
    out
}

fn push_word(out: &mut String, word: &str) {
    // `key=value` is one word here: judge the pieces, keep the marks.
    for (n, piece) in word.split('=').enumerate() {
        if n > 0 {
            out.push('=');
        }
        out.push_str(if looks_secret(piece) { REMOVED } else { piece });
    }
}

fn looks_secret(word: &str) -> bool {
    let prefixed =
        ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xoxa-", "sk-", "sk_live_"]
            .iter()
            .any(|prefix| word.starts_with(prefix) && word.len() >= prefix.len() + 12);
    let token = word.starts_with("eyJ") && word.len() >= 20;
    prefixed || token || holds_access_key(word) || word.split('.').any(is_long_base64)
}

/// `AKIA…`, `ASIA…` and their kin: four letters, then sixteen upper-case letters or digits.
fn holds_access_key(word: &str) -> bool {
    ["AKIA", "ASIA", "ABIA", "ACCA"].iter().any(|prefix| {
        word.match_indices(prefix).any(|(at, _)| {
            let tail = word.get(at + prefix.len()..).unwrap_or_default();
            tail.bytes().take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit()).count() >= 12
        })
    })
}

/// 40 or more characters of base64 with capitals, small letters and digits: a secret key or a session token. Hexadecimal
/// digests and ids stay.
fn is_long_base64(word: &str) -> bool {
    let runs = word.split(['-', '_']).map(str::len).max().unwrap_or_default();
    word.len() >= 40
        && runs >= 20
        && word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_digit())
}

const SECRET_WORDS: [&str; 21] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "access-key",
    "privatekey",
    "private_key",
    "private-key",
    "credential",
    "signature",
    "sessionid",
    "activation-code",
    "activationcode",
    "connectionstring",
];
const WHOLE_LINE_WORDS: [&str; 4] = ["authorization", "cookie", "x-api-key", "x-auth"];

/// What a word in front of `=` or `:` says about what follows.
#[derive(PartialEq, Eq)]
enum Follows {
    Nothing,
    SecretWord,
    SecretLine,
}

fn follows(word: &str) -> Follows {
    let word = word.to_ascii_lowercase();
    if WHOLE_LINE_WORDS.iter().any(|mark| word.contains(mark)) {
        Follows::SecretLine
    } else if SECRET_WORDS.iter().any(|mark| word.contains(mark))
        // `ExpiredTokenException: …` is an error, and its text is what people need.
        && !["exception", "error", "expired", "mismatch", "doesnotmatch"].iter().any(|end| word.ends_with(end))
    {
        Follows::SecretWord
    } else {
        Follows::Nothing
    }
}

/// Takes out the values of `password=…`, `"secret": "…"`, `--token …`, `Authorization: …`, `Bearer …`.
fn without_pairs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_key_char) {
        let (gap, from_word) = rest.split_at_checked(start).unwrap_or((rest, ""));
        out.push_str(gap);
        let end = from_word.find(|c| !is_key_char(c)).unwrap_or(from_word.len());
        let (word, after) = from_word.split_at_checked(end).unwrap_or((from_word, ""));
        out.push_str(word);
        rest = after;
        let bearer = word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
        let what = follows(word);
        if what == Follows::Nothing && !bearer {
            continue;
        }
        let (separator, value) = split_separator(after);
        let paired = separator.contains(['=', ':']);
        let flag = word.starts_with('-') && !separator.is_empty();
        if !(paired || flag || (bearer && !separator.is_empty())) {
            continue;
        }
        out.push_str(separator);
        let length = if what == Follows::SecretLine { line_length(value) } else { value_length(value, separator) };
        if length > 0 {
            out.push_str(REMOVED);
        }
        rest = value.split_at_checked(length).map_or("", |(_, tail)| tail);
    }
    out.push_str(rest);
    out
}

fn is_key_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Quotes, blanks and one or two marks between a key and its value.
fn split_separator(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !matches!(c, '=' | ':' | '"' | '\'' | ' ' | '\\' | '>')).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// How long the value is: to the closing quote when one was opened, else to the next blank or mark.
fn value_length(value: &str, separator: &str) -> usize {
    let opened = separator.trim_end().chars().last().filter(|c| matches!(c, '"' | '\''));
    let stop = |c: char| match opened {
        Some(quote) => c == quote || c == '\n',
        None => c.is_whitespace() || matches!(c, ',' | ';' | '&' | '"' | '\'' | ')' | '}'),
    };
    // The mark that a scanner before left, with the blank in it.
    value.find(stop).unwrap_or(value.len())
}

fn line_length(value: &str) -> usize {
    value.find('\n').unwrap_or(value.len())
}

/// Makes links dead: `hxxps://ssm[.]us-east-1[.]amazonaws[.]com/`.
fn defang(text: &str) -> String {
    let mut parts: Vec<String> = text
        .split("://")
        .enumerate()
        .map(|(n, part)| {
            let (host, tail) = authority(n, part, "/?#\"'<>)");
            host.replace('.', "[.]") + tail
        })
        .collect();
    // Each but the last ends with a scheme.
    if let Some((_, before)) = parts.split_last_mut() {
        for part in before {
            *part = dead_scheme(part);
        }
    }
    parts.join("://").replace("www.", "www[.]")
}

/// Ends with a scheme that no reader turns into a link.
fn dead_scheme(before: &str) -> String {
    let lower = before.to_ascii_lowercase();
    for (live, dead) in [("https", "hxxps"), ("http", "hxxp"), ("ftp", "fxp"), ("wss", "wxs"), ("ws", "wx")] {
        if lower.ends_with(live) {
            let kept = before.get(..before.len() - live.len()).unwrap_or_default();
            return format!("{kept}{dead}");
        }
    }
    before.to_owned()
}

/// Takes the life out of `@channel`, `<!here>` and `<@U123>`, wherever the text may be forwarded to.
fn mute_mentions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '@' if !(before.is_alphanumeric() || before == ']') => out.push_str("(at)"),
            // What stood before is still what stands before: of `<!!here>` no mention is left.
            '!' | '#' if before == '<' => continue,
            _ => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_a_probe_the_boot_id_and_the_last_words_are_kept_and_no_secret() {
        let boot = "57ed6975-ea0f-4ae0-a672-6b9fa49b58a1";
        let probe = format!(
            "{{\"check\":\"boot\",\"booted_at\":\"2026-11-20T11:00:00Z\",\"boot_id\":\"{boot}\"}}\n{}\n{}\n",
            r#"{"check":"journal","severity":"noise","evidence":"ssm: 14:22:31 INFO using password=hunter2hunter2 now"}"#,
            r#"{"check":"journal","severity":"noise","evidence":"units: 14:22:32 node systemd[1]: Stopped docker.service"}"#,
        );
        let kept = page(&probe, 24_000);
        assert_eq!(kept.lines().count(), 3, "{kept}");
        assert!(kept.contains(boot) && kept.contains("Stopped docker.service") && kept.contains("14:22:31"), "{kept}");
        assert!(!kept.contains("hunter2"), "{kept}");
        // As long as it may be, a line is still one of the probe's, so that what was kept can be diagnosed anew.
        let evidence = "word ".repeat(80);
        let line =
            format!(r#"{{"check":"ecs-agent.instance-type-changed","severity":"symptom","evidence":"{evidence}"}}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&page(&line, 24_000)).is_ok(), "{line}");
    }

    #[test]
    fn secrets_of_every_shape_are_taken_out() {
        let secrets = [
            ("key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
            ("ASIAQQQQQQQQQQQQQQQQ", "ASIAQQQQ"),
            ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
            ("\"SecretAccessKey\" : \"wJalrXUtnFEMI\", \"x\": 1", "wJalr"),
            ("DB_PASSWORD=hunter2 next", "hunter2"),
            ("password: hunter2", "hunter2"),
            ("password='two words' next", "words"),
            ("mysql --password hunter2 -h db", "hunter2"),
            ("Authorization: AWS4-HMAC-SHA256 Credential=x/y, Signature=abcdef", "abcdef"),
            ("curl -H 'Authorization: Bearer abc.def'", "abc.def"),
            ("bearer abcdef123", "abcdef123"),
            ("https://bob:hunter2@example.com/x", "hunter2"),
            ("x://a:b@c://bob:hunter2@example.com/x", "hunter2"),
            ("https://h/x?X-Amz-Security-Token=IQoJb3JpZ2lu&y=1", "IQoJ"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
            ("-----BEGIN PRIVATE KEY-----\nMIIEcut", "MIIE"),
            ("-----BEGIN A-----\nx\n-----END\n\n-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"),
            ("\u{1b}[ password=hunter2", "hunter2"),
            ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJ"),
            ("pass\u{200b}word=hunter2", "hunter2"),
            ("AKIA\u{202e}IOSFODNN7EXAMPLE", "IOSFODNN7"),
            ("{\\\"token\\\":\\\"hunter2\\\"}", "hunter2"),
            ("registered with -code=x activation-code: Abc123", "Abc123"),
        ];
        for (text, secret) in secrets {
            let shown = excerpt(text);
            assert!(!shown.contains(secret), "{text} -> {shown}");
            assert!(shown.contains(REMOVED), "{text} -> {shown}");
        }
    }

    #[test]
    fn a_terminal_sequence_takes_no_part_of_a_key_out_of_sight() {
        for before in ["\u{1b}[", "\u{1b}[31m", "\u{9b}", "\u{1b}[ "] {
            let shown = excerpt(&format!("{before}AKIAIOSFODNN7EXAMPLE"));
            assert!(!shown.contains("IOSFODNN7") && shown.contains("removed]"), "{before:?} -> {shown}");
        }
    }

    #[test]
    fn what_people_need_is_kept() {
        for text in [
            "ExpiredTokenException: The security token included in the request is expired",
            "InvalidSignatureException: Signature expired: 20261120T140211Z is now earlier than 20261120T143211Z",
            "/var is 100 % used (biggest: /var/log/app 41 GB)",
            "container 3f4e5d6c7b8a3f4e5d6c7b8a3f4e5d6c7b8a3f4e5d6c7b8a3f4e5d6c7b8a1234 exited",
            "dial tcp 10.0.21.99:443: i/o timeout",
            "arn:aws:sts::111122223333:assumed-role/web/i-0a1b2c3d4e5f60718 is not authorized",
        ] {
            assert_eq!(excerpt(text), text);
        }
    }

    #[test]
    fn links_are_dead_and_mentions_mute() {
        assert_eq!(
            excerpt("Post \"https://ssm.us-east-1.amazonaws.com/a.b\""),
            "Post \"hxxps://ssm[.]us-east-1[.]amazonaws[.]com/a.b\""
        );
        assert_eq!(excerpt("d://0.xhttps://evil.example/y.z"), "d://0[.]xhxxps://evil[.]example/y.z");
        assert_eq!(excerpt("HTTP://evil.example"), "hxxp://evil[.]example");
        assert_eq!(excerpt("@channel <!here> <@U123> bob@host"), "(at)channel <here> <(at)U123> bob@host");
        assert_eq!(excerpt("<!!here> <#!@U123>"), "<here> <(at)U123>");
        assert_eq!(chat("<b> & `x` *y*"), "&lt;b&gt; &amp; 'x' \u{2217}y\u{2217}");
    }

    #[test]
    fn terminals_and_readers_are_not_fooled() {
        assert_eq!(excerpt("\u{1b}[31mred\u{1b}[0m\u{7}\r\n\tand\u{202e} back\u{2028}x"), "red and back x");
        assert_eq!(ascii("prod-wéb"), "prod-w?b");
        assert_eq!(cut("abcdef", 5), "ab...");
        assert_eq!(excerpt(&"x ".repeat(4_000)).chars().count(), EXCERPT_MAX);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_plain_line(text in any::<String>()) {
            let shown = excerpt(&text);
            prop_assert!(shown.chars().count() <= EXCERPT_MAX);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(!shown.contains("http://") && !shown.contains("<!"));
        }

        #[test]
        fn no_key_survives_its_surroundings(before in "[^A-Z]{0,20}", key in "AKIA[A-Z2-7]{16}", after in "[^A-Z]{0,20}") {
            let text = format!("{before}{key}{after}");
            prop_assert!(!excerpt(&text).contains(&key));
        }

        #[test]
        fn no_password_survives_its_surroundings(before in "[ a-z\n]{0,20}", after in "[ \n,;]{1}.{0,20}") {
            let text = format!("{before} password=Tr0ub4dor{after}");
            prop_assert!(!excerpt(&text).contains("Tr0ub4dor"));
        }
    }
}

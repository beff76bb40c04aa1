//! Bytes become lines, whatever they are and however long.

/// A longer line is taken in pieces of this size, in bytes: one command's whole JSON fits, and memory stays bounded.
const LINE_MAX: usize = 256 * 1024;
/// Pieces of one line overlap by so much, so that a message on the edge is still seen whole.
const OVERLAP: usize = 256;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    part: Vec<u8>,
    /// The part is the end of a longer line, and the overlap is all that it holds so far.
    carried: bool,
}

impl Lines {
    /// Takes the next bytes; each line that ends in them goes to `line`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (head, tail) = bytes.split_at(end);
            self.take(head, &mut line);
            self.flush(&mut line);
            bytes = tail.get(1..).unwrap_or_default();
        }
        self.take(bytes, &mut line);
    }

    /// The last line need not end.
    pub(super) fn finish(&mut self, mut line: impl FnMut(&str)) {
        self.flush(&mut line);
    }

    fn take(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&str)) {
        while self.part.len() + bytes.len() > LINE_MAX {
            let (head, tail) = bytes.split_at(LINE_MAX.saturating_sub(self.part.len()).min(bytes.len()));
            self.part.extend_from_slice(head);
            bytes = tail;
            let rest = self.part.split_off(self.part.len().saturating_sub(OVERLAP));
            // The overlap is shown with the first piece as well.
            self.part.extend_from_slice(&rest);
            show(&self.part, line);
            self.part = rest;
            self.carried = true;
        }
        self.part.extend_from_slice(bytes);
        self.carried &= bytes.is_empty();
    }

    fn flush(&mut self, line: &mut impl FnMut(&str)) {
        if !self.carried {
            show(&self.part, line);
        }
        self.part.clear();
        self.carried = false;
    }
}

/// Shows a line without what only a terminal needs.
fn show(bytes: &[u8], line: &mut impl FnMut(&str)) {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    // NUL: UTF-16, as PowerShell writes it; ESC: colours; CR inside: a progress bar, or a console's double line end.
    if text.bytes().any(|byte| matches!(byte, 0 | 0x1b | b'\r')) {
        line(&plain(&text));
    } else {
        line(&text);
    }
}

fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\0' | '\r' => {}
            '\u{1b}' => {
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|&p| matches!(p, ' '..='?')).is_some() {}
                    let _ = chars.next_if(|&p| matches!(p, '@'..='~'));
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk, |line| out.push(line.to_owned()));
        }
        lines.finish(|line| out.push(line.to_owned()));
        out
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_arrive() {
        assert_eq!(lines(&[b"one\r\ntwo\nthree"]), ["one", "two", "three"]);
        assert_eq!(lines(&[b"on", b"e\r", b"\ntwo\nthr", b"ee"]), ["one", "two", "three"]);
    }

    #[test]
    fn colours_and_wide_characters_are_taken_off() {
        assert_eq!(lines(&[b"[\x1b[0;1;31mFAILED\x1b[0m] x\n"]), ["[FAILED] x", ""]);
        assert_eq!(lines(&[b"o\0k\0\n\0"]), ["ok", ""]);
        assert_eq!(lines(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}", ""]);
    }

    #[test]
    fn a_huge_line_is_taken_in_pieces_and_nothing_on_an_edge_is_lost() {
        let mut bytes = vec![b'x'; LINE_MAX - 5];
        bytes.extend_from_slice(b"no space left on device");
        bytes.extend(vec![b'y'; 3 * LINE_MAX]);
        let pieces = lines(&[&bytes]);
        assert!(pieces.iter().all(|piece| piece.len() <= LINE_MAX));
        assert_eq!(pieces.iter().filter(|piece| piece.contains("no space left on device")).count(), 1);
    }
}

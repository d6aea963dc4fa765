//! The painter for terminals: plain text of at most the terminal's width, the verdict first. It
//! never queries the terminal. Colour is a flag, and adds nothing to the text's meaning.

use crate::document::Document;
use crate::report::human;
use crate::report::view::{Block, Column, Piece, Remark, Row, Table, Tone, View};

/// The style of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// True if escape sequences for colour may be used.
    pub color: bool,
    /// Columns of the terminal.
    pub width: u16,
}

/// Width that the tables need. On a narrower terminal each row is written in words, broken at
/// blanks.
const TABLE_WIDTH: usize = 80;
/// Least width. Narrower terminals wrap our lines themselves.
const LEAST_WIDTH: usize = 20;
/// Indentation of a fact's text.
const FACT: usize = 11;
/// Indentation of a list's items.
const LIST: usize = 18;
/// Characters of the name beside a pair of numbers.
const PAIR: usize = 17;
/// One level of indentation.
const STEP: usize = 2;

/// Renders the full report of a run.
pub fn render(doc: &Document, style: Style) -> String {
    paint(View::of(doc), style)
}

/// Renders the summary of a run, which fits a screen.
pub fn render_brief(doc: &Document, style: Style) -> String {
    paint(View::brief(doc), style)
}

/// Paints a view.
pub(crate) fn paint(view: View, style: Style) -> String {
    let width = usize::from(style.width).max(LEAST_WIDTH);
    let mut page = Page { text: String::new(), color: style.color, width };
    let View { headline, head, verdict, numbers, foot } = view;
    page.flowing(
        "",
        None,
        &[
            Piece::new(headline.tone, headline.word),
            Piece::plain("  "),
            Piece::new(Tone::Title, headline.name),
            Piece::plain(": "),
            Piece::plain(headline.why),
        ],
    );
    for block in &head {
        page.block(block);
    }
    for section in verdict.iter().chain(&numbers) {
        page.text.push('\n');
        page.flowing(
            "",
            None,
            &[
                Piece::new(Tone::Title, section.title),
                Piece::new(Tone::Faint, "  "),
                Piece::new(Tone::Faint, &section.note),
            ],
        );
        for block in &section.blocks {
            page.block(block);
        }
    }
    if let Some(foot) = foot {
        page.text.push('\n');
        page.flowing("  ", Some(STEP), &[Piece::new(Tone::Faint, foot)]);
    }
    page.text
}

impl Tone {
    /// Returns the ECMA-48 "select graphic rendition" sequence.
    const fn escape(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Title => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warning => "\x1b[33m",
            Self::Faint => "\x1b[2m",
        }
    }
}

/// Lines of a bounded width.
struct Page {
    text: String,
    color: bool,
    width: usize,
}

impl Page {
    fn is_narrow(&self) -> bool {
        self.width < TABLE_WIDTH
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Fact(label, pieces) => self.flowing(&format!("  {label:<FACT$}"), Some(2 + FACT), pieces),
            Block::Pair(label, pieces) if self.is_narrow() => self.flowing(&format!("  {label} "), None, pieces),
            Block::Pair(label, pieces) => self.flowing(&format!("  {label:<PAIR$} "), None, pieces),
            Block::List(label, items) => self.list(label, items),
            Block::Line(depth, pieces) => self.flowing(&" ".repeat(STEP * depth), None, pieces),
            Block::Remark(remark) => self.remark(remark),
            Block::Table(table) => self.table(table),
        }
    }

    /// Writes one line of pieces, cut at the width. Control characters are replaced: names and
    /// versions come from files and servers, and must not control the reader's terminal.
    fn line(&mut self, pieces: &[Piece]) {
        let mut left = self.width;
        for (i, Piece { tone, text }) in pieces.iter().enumerate() {
            let is_last = pieces[i + 1..].iter().all(|rest| rest.text.trim().is_empty());
            let piece = human::cut(if is_last { text.trim_end() } else { text }, left);
            left -= piece.chars().count();
            if self.color && *tone != Tone::Plain && !piece.is_empty() {
                self.text.extend([tone.escape(), &piece, "\x1b[0m"]);
            } else {
                self.text.push_str(&piece);
            }
        }
        self.text.push('\n');
    }

    /// Writes pieces behind a label. On a narrow page they are broken at blanks. On a page that is
    /// wide enough for tables, they are broken only if there is a `hang`, the indentation of
    /// further lines. Otherwise they are cut.
    fn flowing(&mut self, label: &str, hang: Option<usize>, pieces: &[Piece]) {
        let all = || std::iter::once(Piece::plain(label)).chain(pieces.iter().cloned());
        let length = all().map(|piece| piece.text).collect::<String>().trim_end().chars().count();
        if length <= self.width || (!self.is_narrow() && hang.is_none()) {
            return self.line(&all().collect::<Vec<_>>());
        }
        // On a narrow page, a large indentation would leave no room.
        let hang = hang.unwrap_or(2 * STEP).min(self.width / 4);
        let mut line = vec![Piece::plain(label)];
        let mut used = label.chars().count();
        let mut is_first_word = true;
        for Piece { tone, text } in pieces {
            let starts_apart = text.starts_with(' ');
            for (i, word) in text.split_whitespace().enumerate() {
                let is_apart = i > 0 || starts_apart || line.last().is_some_and(|piece| piece.text.ends_with(' '));
                let gap = usize::from(is_apart && !is_first_word);
                let length = word.chars().count();
                if used + gap + length > self.width && used > hang {
                    self.line(&line);
                    line = vec![Piece::plain(" ".repeat(hang))];
                    used = hang;
                } else if gap > 0 && !line.last().is_some_and(|piece| piece.text.ends_with(' ')) {
                    line.push(Piece::plain(" "));
                    used += 1;
                }
                line.push(Piece::new(*tone, word));
                used += length;
                is_first_word = false;
            }
            if text.ends_with(' ') && !is_first_word && used < self.width {
                line.push(Piece::plain(" "));
                used += 1;
            }
        }
        self.line(&line);
    }

    /// Writes `label` and then `items`, over as many lines as they need.
    fn list(&mut self, label: &str, items: &[String]) {
        if self.is_narrow() {
            return self.flowing(&format!("  {label}: "), None, &[Piece::plain(items.join(", "))]);
        }
        let mut line = format!("  {label:<LIST$}");
        let indent = line.chars().count();
        for item in items {
            let used = line.chars().count();
            if used > indent && used + 2 + item.chars().count() > self.width {
                self.line(&[Piece::plain(format!("{line},"))]);
                line = " ".repeat(indent);
            }
            let separator = if line.chars().count() > indent { ", " } else { "" };
            line = format!("{line}{separator}{item}");
        }
        self.line(&[Piece::plain(line)]);
    }

    fn remark(&mut self, remark: &Remark) {
        let Remark { tone, depth, bullet, text } = remark;
        let (indent, hang) = (STEP * depth, bullet.chars().count());
        for (i, line) in human::wrapped(text, self.width.saturating_sub(indent + hang)).iter().enumerate() {
            let lead = if i == 0 { (*bullet).to_owned() } else { " ".repeat(hang) };
            self.line(&[Piece::plain(" ".repeat(indent)), Piece::new(*tone, format!("{lead}{line}"))]);
        }
    }

    fn table(&mut self, table: &Table) {
        if self.is_narrow() {
            for row in &table.rows {
                self.told(table, row);
            }
            return;
        }
        let indent = if table.rows.iter().any(|row| row.mark.is_some()) { "    " } else { "  " };
        if table.has_head {
            let names: Vec<String> = table.columns.iter().map(|column| column.name.to_owned()).collect();
            self.line(&[Piece::new(Tone::Faint, format!("{indent}{}", aligned(table, &names)))]);
        }
        for row in &table.rows {
            let mut cells = row.cells.clone();
            let marked = row.mark.map(|mark| format!("  {mark} "));
            let mut lead = marked.as_deref().unwrap_or(indent);
            // A name that does not fit has a line of its own, with its numbers below it.
            let Column { width, is_cut, .. } = &table.columns[0];
            if !is_cut && cells[0].chars().count() > *width {
                self.line(&[Piece::new(row.tone, lead), Piece::plain(std::mem::take(&mut cells[0]))]);
                lead = indent;
            }
            let cells = aligned(table, &cells);
            let mut pieces = match row.mark {
                Some(_) => vec![Piece::new(row.tone, lead), Piece::plain(cells)],
                None => vec![Piece::new(row.tone, format!("{lead}{cells}"))],
            };
            pieces.extend(row.tail.clone());
            self.line(&pieces);
            for remark in &row.remarks {
                self.remark(remark);
            }
        }
    }

    /// Writes a row in words: its name, and below it the numbers with the names of their columns.
    fn told(&mut self, table: &Table, row: &Row) {
        let mark = row.mark.map_or_else(String::new, |mark| format!("{mark} "));
        let name = row.cells.first().cloned().unwrap_or_default();
        self.flowing("  ", None, &[Piece::new(row.tone, mark), Piece::plain(name)]);
        let numbers = table.columns.iter().zip(&row.cells).skip(1).filter(|(_, cell)| !cell.is_empty());
        let told =
            numbers.map(|(column, cell)| if table.has_head { format!("{} {cell}", column.name) } else { cell.clone() });
        let tail = row.tail.iter().map(|tail| tail.text.trim().to_owned()).filter(|tail| !tail.is_empty());
        let (mut line, room) = (String::new(), self.width.saturating_sub(2 * STEP));
        for item in told.chain(tail) {
            let separator = if line.is_empty() { "" } else { ", " };
            if !line.is_empty() && line.chars().count() + 2 + item.chars().count() >= room {
                self.remark(&Remark::new(Tone::Plain, 2, format!("{line},")));
                line = item;
            } else {
                line = format!("{line}{separator}{item}");
            }
        }
        self.remark(&Remark::new(Tone::Plain, 2, line));
        for remark in &row.remarks {
            self.remark(remark);
        }
    }
}

/// Pads cells to their columns: names to the left, numbers to the right.
fn aligned(table: &Table, cells: &[String]) -> String {
    let columns = table.columns.iter().zip(cells).enumerate();
    columns.fold(String::new(), |line, (i, (column, cell))| {
        let width = column.width;
        if i == 0 { format!("{line}{:<width$}", human::cut(cell, width)) } else { format!("{line}{cell:>width$}") }
    })
}

#[cfg(test)]
mod tests;

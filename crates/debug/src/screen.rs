//! The whole screen of a terminal: source and instructions side by side, registers with what the verifier knows, values that
//! are watched, and the answers to commands.

use std::io;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph};

use crate::session::Session;
use crate::terminal::{Next, Terminal};

// TABLE
/// Keys, the commands that they stand for, and what the foot of the screen says of them.
const KEYS: &[(char, &str, &str)] = &[
    ('s', "step", "s step"),
    ('n', "next", "n next"),
    ('i', "stepi", "i instruction"),
    ('f', "finish", "f finish"),
    ('c', "continue", "c continue"),
    ('S', "back", "S N I back"),
    ('N', "backn", ""),
    ('I', "backi", ""),
    ('C', "reverse", "C reverse"),
    ('h', "help", "h help"),
];

/// A session on the screen.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal,
    answer: String,
    input: Option<String>,
}

impl Screen {
    /// In front of the first instruction.
    pub fn new(session: Session) -> Self {
        Self { terminal: Terminal::new(session), answer: String::new(), input: None }
    }

    /// What a key does: a move, or a letter of a command that `:` begins.
    pub fn key(&mut self, key: KeyCode) -> Next {
        let Some(input) = &mut self.input else {
            return match key {
                KeyCode::Char(':') => {
                    self.input = Some(String::new());
                    Next::Command
                }
                KeyCode::Char('q') => Next::Quit,
                KeyCode::Char('b') => {
                    self.toggle();
                    Next::Command
                }
                KeyCode::Char(letter) => match KEYS.iter().find(|(key, ..)| *key == letter) {
                    Some((_, command, _)) => self.command(command),
                    None => Next::Command,
                },
                _ => Next::Command,
            };
        };
        match key {
            KeyCode::Char(letter) => input.push(letter),
            KeyCode::Backspace => drop(input.pop()),
            KeyCode::Esc => self.input = None,
            KeyCode::Enter => {
                let command = self.input.take().unwrap_or_default();
                return self.command(&command);
            }
            _ => {}
        }
        Next::Command
    }

    fn command(&mut self, command: &str) -> Next {
        let (answer, next) = self.terminal.command(command);
        self.answer = answer;
        next
    }

    /// A breakpoint at the line or instruction where the program is, or none there any more.
    fn toggle(&mut self) {
        self.answer = self.terminal.toggle_breakpoint();
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let rows = [Constraint::Fill(3), Constraint::Length(13), Constraint::Fill(2), Constraint::Length(1)];
        let [code, middle, answer, foot] = Layout::vertical(rows).areas(frame.area());
        let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
        let [source, instructions] = Layout::horizontal(halves).areas(code);
        let [registers, watches] =
            Layout::horizontal([Constraint::Percentage(65), Constraint::Percentage(35)]).areas(middle);
        self.source(frame, source);
        self.instructions(frame, instructions);
        let text = self.terminal.registers();
        frame.render_widget(Paragraph::new(text).block(Block::bordered().title("registers")), registers);
        let text = self.terminal.watched();
        frame.render_widget(Paragraph::new(text).block(Block::bordered().title("watched")), watches);
        let place = self.terminal.session().position();
        let title = format!("step {} of {}", place.0 + 1, place.1);
        frame.render_widget(Paragraph::new(self.answer.as_str()).block(Block::bordered().title(title)), answer);
        let keys: Vec<&str> = KEYS.iter().map(|(.., about)| *about).filter(|about| !about.is_empty()).collect();
        let text = match &self.input {
            Some(input) => format!(":{input}"),
            None => format!("{}  b breakpoint  : command  q quit", keys.join("  ")),
        };
        frame.render_widget(Paragraph::new(text), foot);
    }

    fn source(&self, frame: &mut Frame<'_>, area: Rect) {
        let session = self.terminal.session();
        let here = session.frames().into_iter().next().and_then(|frame| frame.line);
        let (title, current) = match &here {
            Some((file, line, _)) => (file.clone(), *line),
            None => ("no source".to_owned(), 0),
        };
        let mut lines: Vec<(u32, &str)> = session
            .program()
            .lines
            .iter()
            .filter(|line| line.line > 0 && here.as_ref().is_some_and(|(file, ..)| **file == *line.file))
            .map(|line| (line.line, &*line.text))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        let rows = lines.iter().map(|(number, text)| (*number == current, format!("{number:>5} {text}")));
        draw_rows(frame, area, &title, rows.collect());
    }

    fn instructions(&self, frame: &mut Frame<'_>, area: Rect) {
        let session = self.terminal.session();
        let at = session.step().at;
        let listing = session.listing(u32::from(area.height));
        let rows = listing.into_iter().map(|(slot, text)| (slot == at, format!("{slot:>5} {text}")));
        draw_rows(frame, area, &session.program().name, rows.collect());
    }
}

/// Rows in a frame, with the marked one in the middle.
fn draw_rows(frame: &mut Frame<'_>, area: Rect, title: &str, rows: Vec<(bool, String)>) {
    let room = usize::from(area.height.saturating_sub(2));
    let current = rows.iter().position(|(marked, _)| *marked).unwrap_or(0);
    let first = current.saturating_sub(room / 2);
    let shown = rows.into_iter().skip(first).take(room).map(|(marked, text)| {
        let style = if marked { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        Line::styled(text, style)
    });
    let block = Block::bordered().title(title.to_owned());
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()).block(block), area);
}

/// Takes the screen until the session ends, and gives it back.
///
/// # Errors
/// If there is no terminal, or it cannot be drawn on.
pub fn run(session: Session) -> io::Result<()> {
    let mut screen = Screen::new(session);
    let mut terminal = ratatui::try_init()?;
    let result = (|| {
        loop {
            terminal.draw(|frame| screen.draw(frame))?;
            let Event::Key(key) = event::read()? else { continue };
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            let code = match key.code {
                KeyCode::Char('c') if control => return Ok(()),
                // A line end that was typed before the screen was there.
                KeyCode::Char('j') if control => KeyCode::Enter,
                code => code,
            };
            if key.kind == KeyEventKind::Press && screen.key(code) == Next::Quit {
                return Ok(());
            }
        }
    })();
    ratatui::try_restore()?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal as Drawn;
    use ratatui::backend::TestBackend;

    fn shown(screen: &Screen) -> String {
        let mut drawn = Drawn::new(TestBackend::new(100, 40)).unwrap();
        drawn.draw(|frame| screen.draw(frame)).unwrap();
        drawn.backend().to_string()
    }

    #[test]
    fn keys_move_and_the_screen_shows_it() {
        let mut screen = Screen::new(crate::fuzz::session());
        let start = shown(&screen);
        assert!(start.contains("step 1 of") && start.contains("r6 = 3") && start.contains("no source"), "{start}");
        for _ in 0..2 {
            assert_eq!(screen.key(KeyCode::Char('i')), Next::Command);
        }
        let moved = shown(&screen);
        assert!(moved.contains("step 3 of") && moved.contains("r6  0x0000000000000003"), "{moved}");
        screen.key(KeyCode::Char('I'));
        assert!(shown(&screen).contains("step 2 of"));
        for letter in ":watch u64[r10 - 8]".chars() {
            screen.key(KeyCode::Char(letter));
        }
        assert!(shown(&screen).contains(":watch u64[r10 - 8]"));
        screen.key(KeyCode::Enter);
        assert!(shown(&screen).contains("u64[r10 - 8] = 0"));
        screen.key(KeyCode::Char('i'));
        assert!(shown(&screen).contains("u64[r10 - 8] = 3"));
        screen.key(KeyCode::Char('b'));
        assert!(shown(&screen).contains("breakpoint at instruction 2"));
        // The loop comes there again.
        screen.key(KeyCode::Char('c'));
        let again = shown(&screen);
        assert!(!again.contains("step 3 of") && !again.contains("the end"), "{again}");
        screen.key(KeyCode::Char('b'));
        screen.key(KeyCode::Char('c'));
        assert!(shown(&screen).contains("the end"));
        screen.key(KeyCode::Char('C'));
        assert!(shown(&screen).contains("the start"));
        assert_eq!(screen.key(KeyCode::Char('q')), Next::Quit);
        // The smallest screens are drawn on as well.
        let mut small = Drawn::new(TestBackend::new(1, 1)).unwrap();
        small.draw(|frame| screen.draw(frame)).unwrap();
    }
}

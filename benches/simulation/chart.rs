//! Charts as SVG, by hand: a library would bring more than these lines draw.

use std::fmt::{self, Display, Write as _};

/// Where things stand. Pixels, from the upper left corner.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Of the picture.
    pub width: f64,
    /// Of the picture.
    pub height: f64,
    /// The upper end of the vertical axis.
    pub top: f64,
    /// Its lower end.
    pub bottom: f64,
    /// Where the horizontal axis begins.
    pub left: f64,
    /// Where it ends.
    pub right: f64,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Stroke {
    /// One of the palette.
    pub colour: &'static str,
    /// What the chart is about.
    pub is_bold: bool,
    /// Of two with one colour, the second.
    pub is_dashed: bool,
}

/// A chart that is being drawn.
#[derive(Debug)]
pub struct Chart {
    frame: Frame,
    lines: usize,
    svg: String,
}

impl Frame {
    /// Where `value` stands on a horizontal axis from nothing to `end`.
    pub fn x(&self, value: f64, end: f64) -> f64 {
        self.left + (self.right - self.left) * value / end
    }

    /// Where `value` stands on a vertical axis from nothing to `end`.
    pub fn y(&self, value: f64, end: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * value / end
    }
}

impl Chart {
    /// White, but for the title.
    pub fn new(frame: Frame, title: &str) -> Self {
        let Frame {
            width,
            height,
            left,
            ..
        } = frame;
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{left}\" y=\"18\" font-size=\"14\">{title}</text>\n"
        );
        Self {
            frame,
            lines: 0,
            svg,
        }
    }

    /// An element of its own.
    pub fn draw(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.svg, "{element}");
    }

    /// Grey from one place of the horizontal axis to another.
    pub fn shade(&mut self, from: f64, until: f64) {
        let Frame { top, bottom, .. } = self.frame;
        self.draw(format_args!(
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#eee\"/>",
            until - from,
            bottom - top,
        ));
    }

    /// A line across at `y`, and what it stands for.
    pub fn rule(&mut self, y: f64, text: impl Display, colour: &str) {
        let Frame { left, right, .. } = self.frame;
        self.draw(format_args!(
            "<path d=\"M{left} {y:.1}H{right}\" stroke=\"{colour}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            left - 6.0,
            y + 4.0
        ));
    }

    /// Text below the horizontal axis, on the first line or one further below.
    pub fn below(&mut self, x: f64, line: usize, text: impl Display) {
        let y = self.frame.bottom + 16.0 + 13.0 * line as f64;
        self.draw(format_args!(
            "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>"
        ));
    }

    /// What the vertical axis shows.
    pub fn axis(&mut self, text: &str) {
        let middle = (self.frame.top + self.frame.bottom) / 2.0;
        self.draw(format_args!(
            "<text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">\
             {text}</text>"
        ));
    }

    /// A line through places, and its name on the right.
    pub fn line(&mut self, places: impl Iterator<Item = (f64, f64)>, stroke: Stroke, name: &str) {
        let places: Vec<_> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let Stroke { colour, .. } = stroke;
        let (width, dashes) = (stroke.width(), stroke.dashes());
        self.draw(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"\
             {dashes}><title>{name}</title></polyline>",
            places.join(" ")
        ));
        let (x, y) = (
            self.frame.right,
            self.frame.top + 12.0 + 17.0 * self.lines as f64,
        );
        self.draw(format_args!(
            "<path d=\"M{} {:.1}h18\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>\
             <text x=\"{}\" y=\"{y:.1}\">{name}</text>",
            x + 10.0,
            y - 4.0,
            x + 33.0,
        ));
        self.lines += 1;
    }

    /// The file.
    pub fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

impl Stroke {
    fn width(self) -> f64 {
        if self.is_bold { 2.5 } else { 1.5 }
    }

    fn dashes(self) -> &'static str {
        if self.is_dashed {
            " stroke-dasharray=\"5 3\""
        } else {
            ""
        }
    }
}

/// Told apart by most eyes: the palette of Okabe and Ito, with greys.
pub mod palette {
    /// For ours.
    pub const BLUE: &str = "#0072b2";
    /// For ours, otherwise set.
    pub const SKY: &str = "#56b4e9";
    /// For a peer.
    pub const VERMILION: &str = "#d55e00";
    /// For a peer.
    pub const ORANGE: &str = "#e69f00";
    /// For a peer.
    pub const GREEN: &str = "#009e73";
    /// For a peer.
    pub const PURPLE: &str = "#cc79a7";
    /// For what all are held against.
    pub const BLACK: &str = "#000000";
    /// The same.
    pub const GREY: &str = "#999999";
    /// The same, where both are there.
    pub const DARK_GREY: &str = "#555555";
}

//! Test results as JUnit's XML, as Jenkins, GitLab and their kin read it.
//!
//! Written for `junit-10.xsd` of Jenkins' xUnit plugin, which is stricter than the readers.

use super::text::{clean, shorten_end};

/// Results of one run, or of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// What was looked at.
    pub name: String,
    /// Facts about the run, in order.
    pub properties: Vec<(String, String)>,
    /// The results.
    pub cases: Vec<Case>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Groups cases, with dots as in Java.
    pub class: String,
    /// Stable id.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What else is to be said, a line each.
    pub output: Vec<String>,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is not there.
    Passed,
    /// It could not be looked at, or somebody answers for it: one sentence.
    Skipped(String),
    /// It is there: how bad, and one sentence.
    Failed(String, String),
    /// Nothing could be judged: one sentence.
    Error(String),
}

/// Longest sentence in an attribute, in columns.
const LONGEST: usize = 500;

/// Writes all suites as one file.
pub fn render(suites: &[Suite]) -> String {
    let cases = || suites.iter().flat_map(|suite| &suite.cases);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out += &format!(
        "<testsuites name=\"diagnose\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
        cases().count(),
        cases().filter(|it| it.is_failed()).count(),
        cases().filter(|it| it.is_error()).count(),
    );
    suites.iter().for_each(|suite| out += &suite.text());
    out + "</testsuites>\n"
}

impl Suite {
    fn text(&self) -> String {
        let count = |is: fn(&Case) -> bool| self.cases.iter().filter(|case| is(case)).count();
        let mut out = format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
            escaped(&self.name),
            self.cases.len(),
            count(Case::is_failed),
            count(Case::is_error),
            count(Case::is_skipped),
        );
        if !self.properties.is_empty() {
            let one = |(name, value): &(String, String)| {
                let (name, value) = (escaped(name), escaped(value));
                format!("      <property name=\"{name}\" value=\"{value}\"/>\n")
            };
            let all: String = self.properties.iter().map(one).collect();
            out += &format!("    <properties>\n{all}    </properties>\n");
        }
        self.cases.iter().for_each(|case| out += &case.text());
        out + "  </testsuite>\n"
    }
}

impl Case {
    fn is_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(..))
    }

    fn is_error(&self) -> bool {
        matches!(self.outcome, Outcome::Error(_))
    }

    fn is_skipped(&self) -> bool {
        matches!(self.outcome, Outcome::Skipped(_))
    }

    fn text(&self) -> String {
        let (class, name) = (escaped(&self.class), escaped(&self.name));
        let head = format!("    <testcase classname=\"{class}\" name=\"{name}\"");
        // GitLab shows the text of a failure and nothing of its output, Jenkins shows both.
        let body: String = self.output.iter().map(|line| escaped(line) + "\n").collect();
        let message = |text: &str| escaped(&shorten_end(&clean(text), LONGEST));
        let inside = match &self.outcome {
            Outcome::Passed if body.is_empty() => return head + "/>\n",
            Outcome::Passed => format!("      <system-out>{body}</system-out>\n"),
            Outcome::Skipped(why) => {
                let out = match body.is_empty() {
                    true => String::new(),
                    false => format!("      <system-out>{body}</system-out>\n"),
                };
                format!("      <skipped message=\"{}\"/>\n{out}", message(why))
            }
            Outcome::Failed(kind, why) => format!(
                "      <failure type=\"{}\" message=\"{}\">{body}</failure>\n",
                escaped(kind),
                message(why)
            ),
            Outcome::Error(why) => format!(
                "      <error type=\"inconclusive\" message=\"{}\">{body}</error>\n",
                message(why)
            ),
        };
        format!("{head}>\n{inside}    </testcase>\n")
    }
}

/// Outside text inside of XML. Characters that XML cannot hold in any form are spelt out or
/// replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_gets_out_of_its_place() {
        let hostile = "a\"'<b>&amp;]]>\u{0}\u{1b}\u{ffff}\u{202e}";
        let case = Case {
            class: hostile.into(),
            name: hostile.into(),
            outcome: Outcome::Failed("critical".into(), hostile.into()),
            output: vec![hostile.into()],
        };
        let suite = Suite { name: hostile.into(), properties: Vec::new(), cases: vec![case] };
        let text = render(&[suite]);
        let harmless = "a&quot;&apos;&lt;b&gt;&amp;amp;]]&gt;\\u{0}\\u{1b}\u{fffd}\\u{202e}";
        assert_eq!(text.matches(harmless).count(), 5, "{text}");
        assert!(text.contains("tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\""), "{text}");
    }
}

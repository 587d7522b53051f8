//! Mistakes in what a cause advises.

use super::{Linter, Place, did_you_mean, signal_of};
use crate::runbook::{Cause, Fix, advice::Placeholder, expr::Program, versions, xid};

impl Linter<'_> {
    pub(super) fn advice(&mut self, place: Place<'_>, cause: &Cause) {
        if cause.replicas.why.trim().is_empty() {
            let message = "`replicas` needs a `why`: an answer without a reason is not believed";
            self.error(place, place.of(&cause.id), message.into(), None);
        }
        for fix in &cause.fixes {
            self.fix(place, fix);
        }
    }

    fn fix(&mut self, place: Place<'_>, fix: &Fix) {
        if fix.xid.is_empty() && xid::quotes(&fix.text) {
            let message = "it quotes a row of xid.yaml, and `xid` names no action group".into();
            self.error(place, place.find(&fix.text), message, None);
        }
        if let Some(when) = &fix.when {
            self.condition(place, when);
        } else if let Some(otherwise) = &fix.otherwise {
            let message = "`otherwise` without `when` is never said".into();
            self.error(place, place.find(otherwise), message, None);
        }
        let known = fix.when.as_ref().and_then(|when| Program::compile(&when.value).ok());
        let known = known.as_ref().map_or(&[][..], Program::variables);
        let texts = [Some(&fix.text), fix.command.as_ref(), Some(&fix.effect)];
        for text in
            texts.into_iter().flatten().filter(|text| !versions::quotes(text) && !xid::quotes(text))
        {
            self.placeholders(place, text, known);
        }
        if let Some(otherwise) = &fix.otherwise {
            self.signals_of(place, otherwise);
        }
    }

    /// A value that may be missing needs words in its place, unless `when` has it.
    fn placeholders(&mut self, place: Place<'_>, text: &str, known: &[String]) {
        self.signals_of(place, text);
        for placeholder in Placeholder::all(text) {
            if placeholder.fallback.is_none() && !known.iter().any(|v| v == placeholder.signal) {
                let message = format!("`{}` may be missing", placeholder.whole);
                let help = format!(
                    "ask for it in `when`, or write words for that case: `{{{}|words}}`",
                    placeholder.signal
                );
                self.error(place, place.find(placeholder.whole), message, Some(help));
            }
        }
    }

    fn signals_of(&mut self, place: Place<'_>, text: &str) {
        for placeholder in Placeholder::all(text) {
            let signal = signal_of(placeholder.signal);
            if !self.signals.contains(signal) {
                let help = did_you_mean(signal, self.signals.iter().copied());
                let span = place.find(placeholder.whole);
                self.error(place, span, format!("unknown signal `{signal}`"), help);
            }
        }
    }
}

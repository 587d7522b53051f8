//! Markdown for a ticket.

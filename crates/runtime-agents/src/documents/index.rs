//! The full-text index: tantivy, in memory, one thread while something changes and none otherwise.

use std::error::Error;
use std::fmt;

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{
    Index as Tantivy, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError,
    indexer::{IndexWriterOptions, NoMergePolicy},
};

use super::error::DocumentsError;
use super::passage::{Form, Passage};
use super::readable;
use super::terms;

/// How much a term in the innermost heading counts, compared with one in the text.
const HEADING: f32 = 1.2;
/// How much a term in an outer heading or the file's name counts.
const ABOVE: f32 = 0.6;
/// Bytes of new passages that are held before they are written to a segment.
const BUDGET: usize = 16 * 1024 * 1024;
/// The name under which the analyzer is registered.
const ANALYZER: &str = "documents";

/// A term that is searched for, and how much it counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) stem: String,
    pub(super) weight: f32,
}

/// A passage that the index found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// The number of its file.
    pub(super) file: u64,
    /// Its number in the file, from 0.
    pub(super) nth: usize,
    pub(super) score: f32,
}

/// The passages of all files.
pub(super) struct Index {
    tantivy: Tantivy,
    reader: IndexReader,
    analyzer: TextAnalyzer,
    fields: Fields,
}

#[derive(Clone, Copy)]
struct Fields {
    file: Field,
    nth: Field,
    text: Field,
    heading: Field,
    above: Field,
}

/// What is to be done to the index at once.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    /// Numbers of files that are gone or were replaced.
    pub(super) remove: Vec<u64>,
    /// Number, path and passages of files that are new.
    pub(super) add: Vec<(u64, &'a str, &'a [Passage])>,
}

impl Change<'_> {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passages = self.reader.searcher().num_docs();
        f.debug_struct("Index").field("passages", &passages).finish_non_exhaustive()
    }
}

impl Index {
    /// An index without passages.
    pub(super) fn new() -> Result<Index, DocumentsError> {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(ANALYZER)
            .set_index_option(IndexRecordOption::WithFreqs);
        let text = TextOptions::default().set_indexing_options(indexing);
        let fields = Fields {
            file: schema.add_u64_field("file", INDEXED | FAST),
            nth: schema.add_u64_field("nth", FAST),
            text: schema.add_text_field("text", text.clone()),
            heading: schema.add_text_field("heading", text.clone()),
            above: schema.add_text_field("above", text),
        };
        let tantivy = Tantivy::create_in_ram(schema.build());
        let analyzer = terms::analyzer();
        tantivy.tokenizers().register(ANALYZER, analyzer.clone());
        let reader = tantivy.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        let reader = reader.map_err(failed("start"))?;
        Ok(Index { tantivy, reader, analyzer, fields })
    }

    /// The analyzer that the index uses.
    pub(super) fn analyzer(&self) -> TextAnalyzer {
        self.analyzer.clone()
    }

    /// Makes the change, whole or not at all.
    pub(super) fn apply(&mut self, change: &Change<'_>) -> Result<(), DocumentsError> {
        // The writer lives only as long as the change, so that no thread is kept for an index that rests.
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(BUDGET)
            .build();
        let mut writer: IndexWriter = self.tantivy.writer_with_options(options).map_err(failed("open"))?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        for file in &change.remove {
            writer.delete_term(tantivy::Term::from_field_u64(self.fields.file, *file));
        }
        for (file, path, passages) in &change.add {
            for (nth, passage) in passages.iter().enumerate() {
                let document = self.document(*file, nth, path, passage);
                writer.add_document(document).map_err(failed("add a passage"))?;
            }
        }
        writer.commit().map_err(failed("write a change"))?;
        // One segment without removed passages: the weights of terms are then those of the present documents, however
        // often these changed before.
        let segments = self.tantivy.searchable_segment_ids().map_err(failed("list its parts"))?;
        if segments.len() > 1 || (!segments.is_empty() && !change.remove.is_empty()) {
            writer.merge(&segments).wait().map_err(failed("join its parts"))?;
        }
        writer.wait_merging_threads().map_err(failed("close"))?;
        self.reader.reload().map_err(failed("show a change"))
    }

    fn document(&self, file: u64, nth: usize, path: &str, passage: &Passage) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_u64(self.fields.file, file);
        document.add_u64(self.fields.nth, nth as u64);
        document.add_text(self.fields.text, searchable(passage));
        if let Some((heading, above)) = passage.headings.split_last() {
            document.add_text(self.fields.heading, heading);
            document.add_text(self.fields.above, above.join(" "));
        }
        let name = path.rsplit_once('.').map_or(path, |(name, _)| name);
        document.add_text(self.fields.above, name);
        document
    }

    /// The best passages by the index's own measure (BM25), at most `limit`.
    pub(super) fn candidates(
        &self,
        wanted: &[Wanted],
        limit: usize,
    ) -> Result<Vec<Candidate>, DocumentsError> {
        let Fields { text, heading, above, .. } = self.fields;
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for Wanted { stem, weight } in wanted {
            for (field, boost) in [(text, 1.0), (heading, HEADING), (above, ABOVE)] {
                let term = tantivy::Term::from_field_text(field, stem);
                let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
                let query = BoostQuery::new(Box::new(query), boost * weight);
                clauses.push((Occur::Should, Box::new(query)));
            }
        }
        if clauses.is_empty() {
            return Ok(Vec::new());
        }
        let searcher = self.reader.searcher();
        let best = TopDocs::with_limit(limit.max(1)).order_by_score();
        let best = searcher.search(&BooleanQuery::new(clauses), &best).map_err(failed("search"))?;
        let mut candidates = Vec::with_capacity(best.len());
        for (score, address) in best {
            let columns = searcher.segment_reader(address.segment_ord).fast_fields();
            let column = |name| columns.u64(name).map_err(failed("read a passage's place"));
            let place = (column("file")?.first(address.doc_id), column("nth")?.first(address.doc_id));
            let (Some(file), Some(nth)) = place else {
                continue;
            };
            let nth = usize::try_from(nth).unwrap_or(usize::MAX);
            candidates.push(Candidate { file, nth, score });
        }
        Ok(candidates)
    }

    /// How many passages there are.
    pub(super) fn passages(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// In how many passages `stem` occurs, in the text or above it.
    pub(super) fn frequency(&self, stem: &str) -> Result<u64, DocumentsError> {
        let searcher = self.reader.searcher();
        let mut most = 0;
        for field in [self.fields.text, self.fields.heading, self.fields.above] {
            let term = tantivy::Term::from_field_text(field, stem);
            most = most.max(searcher.doc_freq(&term).map_err(failed("count a term"))?);
        }
        Ok(most)
    }

    /// All stems in the documents that begin with `prefix`, in the order of the alphabet.
    pub(super) fn stems(&self, prefix: &str) -> Result<Vec<String>, DocumentsError> {
        let searcher = self.reader.searcher();
        let mut stems = Vec::new();
        for segment in searcher.segment_readers() {
            let inverted = segment.inverted_index(self.fields.text).map_err(failed("list its terms"))?;
            let range = inverted.terms().range().ge(prefix.as_bytes());
            let mut stream = range.into_stream().map_err(|error| failed("list its terms")(error.into()))?;
            while stream.advance() {
                let Ok(stem) = std::str::from_utf8(stream.key()) else {
                    continue;
                };
                if !stem.starts_with(prefix) {
                    break;
                }
                stems.push(stem.to_owned());
            }
        }
        stems.sort();
        stems.dedup();
        Ok(stems)
    }
}

/// The words of `passage`, with those of the table's head where it is a row.
pub(super) fn searchable(passage: &Passage) -> String {
    let text = readable::inline(&passage.text).text;
    match &passage.form {
        Form::Row { head } => format!("{text}\n{}", head.join(" ")),
        Form::Blocks => text,
        Form::Code { .. } => passage.text.clone(),
    }
}

fn failed(action: &'static str) -> impl Fn(TantivyError) -> DocumentsError {
    move |error| {
        let source: Box<dyn Error + Send + Sync> = Box::new(error);
        DocumentsError::Index { action, source }
    }
}

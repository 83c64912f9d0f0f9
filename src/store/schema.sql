-- store/schema.sql - one search, whole: run.db (interface.md 3.2, evolution.md 15)
CREATE TABLE meta (
    key TEXT PRIMARY KEY,       -- configuration, hashes, optimiser state, counters
    value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,     -- in the order in which the search made them
    kind TEXT NOT NULL,         -- source, default, start, sample, mean, polish
    label TEXT NOT NULL,        -- the model's name, or where the candidate comes from
    generation INTEGER NOT NULL,
    place INTEGER NOT NULL,     -- index in its generation, source or polish round
    genome BLOB NOT NULL,       -- 64-bit doubles; empty for a source
    failed INTEGER NOT NULL,    -- 1: no usable answers; note says why
    note TEXT NOT NULL
);
CREATE TABLE score (
    candidate INTEGER NOT NULL,
    item_set TEXT NOT NULL,     -- search, select, test, polish/1, ...
    task INTEGER NOT NULL,      -- -1: the weighted sum of all; -2: how far below its guards
    value REAL NOT NULL,
    items INTEGER NOT NULL,     -- questions behind it
    seconds REAL NOT NULL,      -- of work
    PRIMARY KEY (candidate, item_set, task)
) WITHOUT ROWID;
CREATE TABLE answer (
    candidate INTEGER NOT NULL,
    task INTEGER NOT NULL,
    item INTEGER NOT NULL,
    value REAL,                 -- the metric; NULL: the model failed on it
    text TEXT NOT NULL,         -- what was generated
    PRIMARY KEY (candidate, task, item)
) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,         -- seconds since 1970
    kind TEXT NOT NULL,
    text TEXT NOT NULL
);
-- What a look at a long run asks: how many, which are references, which is the best.
CREATE INDEX candidate_failed ON candidate (failed);
CREATE INDEX candidate_reference ON candidate (kind) WHERE kind <> 'sample';
CREATE INDEX score_value ON score (item_set, task, value DESC, candidate);

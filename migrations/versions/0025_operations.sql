CREATE TABLE work_rollup (
    bucket timestamptz NOT NULL,
    kind text NOT NULL,
    lane_rank smallint NOT NULL,
    arrived bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    waited_seconds double precision NOT NULL DEFAULT 0,
    waited_max double precision NOT NULL DEFAULT 0,
    ran_seconds double precision NOT NULL DEFAULT 0,
    ran_max double precision NOT NULL DEFAULT 0,
    tokens bigint NOT NULL DEFAULT 0,
    waiting_max bigint NOT NULL DEFAULT 0,
    oldest_seconds double precision NOT NULL DEFAULT 0,
    CONSTRAINT pk_work_rollup PRIMARY KEY (bucket, kind, lane_rank)
);

CREATE TABLE worker_rollup (
    bucket timestamptz NOT NULL,
    worker text NOT NULL,
    kind text NOT NULL,
    jobs bigint NOT NULL DEFAULT 0,
    busy_seconds double precision NOT NULL DEFAULT 0,
    tokens bigint NOT NULL DEFAULT 0,
    bundle text,
    CONSTRAINT pk_worker_rollup PRIMARY KEY (bucket, worker, kind)
);

CREATE TABLE backlog_rollup (
    backlog_id uuid NOT NULL,
    bucket timestamptz NOT NULL,
    listed bigint NOT NULL DEFAULT 0,
    registered bigint NOT NULL DEFAULT 0,
    summarised bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    open bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_backlog_rollup PRIMARY KEY (backlog_id, bucket)
);

CREATE TABLE workers (
    name text NOT NULL,
    kind text NOT NULL,
    slots integer NOT NULL,
    busy integer NOT NULL,
    tokens_per_s double precision,
    bundle text,
    bundle_sha256 text,
    scope jsonb,
    devices jsonb,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_workers PRIMARY KEY (name)
);

CREATE TABLE unreadable_events (
    door text NOT NULL,
    cause text NOT NULL,
    events bigint NOT NULL DEFAULT 0,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_unreadable_events PRIMARY KEY (door, cause)
);

CREATE VIEW work_history AS
SELECT w.bucket AS at,
       w.kind,
       (ARRAY['stat', 'routine', 'backlog'])[w.lane_rank + 1] AS lane,
       w.arrived,
       w.done,
       w.dead,
       w.cancelled,
       w.retried,
       w.waited_seconds,
       w.waited_max,
       w.ran_seconds,
       w.ran_max,
       w.tokens,
       w.waiting_max,
       w.oldest_seconds
FROM work_rollup w;

CREATE VIEW workers_hourly AS
SELECT date_trunc('hour', r.bucket, 'UTC') AS hour,
       r.worker,
       split_part(r.worker, '-', 1) AS worker_kind,
       r.kind AS job_kind,
       sum(r.jobs)::bigint AS jobs,
       sum(r.busy_seconds) AS busy_seconds,
       sum(r.tokens)::bigint AS tokens,
       max(r.bundle) AS bundle
FROM worker_rollup r
GROUP BY 1, 2, 3, 4;

CREATE VIEW workers_now AS
SELECT p.name AS worker,
       p.kind AS worker_kind,
       p.slots,
       p.busy,
       p.tokens_per_s,
       p.bundle,
       p.started_at,
       p.seen_at
FROM workers p
WHERE p.seen_at > clock_timestamp() - interval '1 minute';

CREATE VIEW backlog_history AS
SELECT b.backlog_id,
       b.bucket AS at,
       b.listed,
       b.registered,
       b.summarised,
       b.rejected,
       b.dead,
       b.cancelled,
       b.open
FROM backlog_rollup b;

GRANT SELECT ON work_history, workers_hourly, workers_now, backlog_history TO xraygpt_reader;

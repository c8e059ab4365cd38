-- Alerts: what operators are told of. A row is an episode, from the first look that saw it until its cause is away. Its
-- messages are notices of the kind alert, written in the transaction that changes the row.

CREATE TABLE billing.alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule text NOT NULL CHECK (rule ~ '^[a-z_]+$'),
    subject text NOT NULL CHECK (subject <> ''),
    severity text NOT NULL CHECK (severity IN ('critical', 'warning')),
    summary text NOT NULL CHECK (summary <> ''),
    billing_month billing.month_start,
    row_count bigint NOT NULL CHECK (row_count > 0),
    opened_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL,
    told_count bigint NOT NULL CHECK (told_count > 0),
    tellings integer NOT NULL DEFAULT 1 CHECK (tellings > 0),
    acknowledged_at timestamptz,
    acknowledged_by text CHECK (acknowledged_by ~ '\S'),
    acknowledge_reason text CHECK (acknowledge_reason ~ '\S'),
    resolved_at timestamptz,
    CHECK (num_nulls(acknowledged_at, acknowledged_by, acknowledge_reason) IN (0, 3)),
    CHECK (seen_at >= opened_at AND told_at >= opened_at AND resolved_at >= opened_at)
);
CREATE UNIQUE INDEX alerts_one_open ON billing.alerts (rule, subject) WHERE resolved_at IS NULL;
COMMENT ON TABLE billing.alerts IS 'One row an episode of something that operators are told of; docs/alerts.md has the rules';
COMMENT ON COLUMN billing.alerts.alert_id IS 'Order of opening';
COMMENT ON COLUMN billing.alerts.rule IS 'What is wrong; a heading of docs/alerts.md';
COMMENT ON COLUMN billing.alerts.subject IS 'What it is about: a job, a month, a dispute, or all';
COMMENT ON COLUMN billing.alerts.severity IS 'critical or warning, as the policy said when it opened';
COMMENT ON COLUMN billing.alerts.summary IS 'One line, as it was seen last';
COMMENT ON COLUMN billing.alerts.billing_month IS 'The month that it is about; null: none';
COMMENT ON COLUMN billing.alerts.row_count IS 'How many things are so, as it was seen last';
COMMENT ON COLUMN billing.alerts.opened_at IS 'The first look that saw it';
COMMENT ON COLUMN billing.alerts.seen_at IS 'The last look that saw it';
COMMENT ON COLUMN billing.alerts.told_at IS 'When it was told last';
COMMENT ON COLUMN billing.alerts.told_count IS 'How many things were so then: twice as many are told again';
COMMENT ON COLUMN billing.alerts.tellings IS 'How often it was told';
COMMENT ON COLUMN billing.alerts.acknowledged_at IS 'When somebody took it on: it is not told again unless it is worse; null: nobody has';
COMMENT ON COLUMN billing.alerts.acknowledged_by IS 'Who';
COMMENT ON COLUMN billing.alerts.acknowledge_reason IS 'What they do about it';
COMMENT ON COLUMN billing.alerts.resolved_at IS 'When its cause was away for long enough; null while it is open';
CREATE TRIGGER alerts_change BEFORE UPDATE ON billing.alerts
FOR EACH ROW EXECUTE FUNCTION billing.check_alert();
CREATE TRIGGER alerts_keep BEFORE DELETE OR TRUNCATE ON billing.alerts
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the record of alerts is kept');

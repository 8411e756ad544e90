package sqlcatalog

import (
	"strings"

	"zai-image-mcp/resources"
)

// statements are long statements that are executed for every image. Their texts depend
// on the dialect or on the predicates of State, and are built once.
type statements struct {
	insert   string
	record   map[resources.State]string // by the state that is written
	joinable string
	queue    string
	grant    string
}

func newStatements(d Dialect) statements {
	unsaved := resources.StatesThat(func(s resources.State) bool { return s.Joinable() && s != resources.Saved })
	all := statements{
		insert: `INSERT INTO images (` + insertColumns + `) VALUES (` + place(strings.Count(insertColumns, ",")) + `, ` + d.NextChange + `) ON CONFLICT (id) DO NOTHING`,
		record: map[resources.State]string{},
		joinable: `SELECT call_id FROM images WHERE delivered_ms=0 AND join_key=? AND created_ms > ? AND delivering_until_ms <= ? AND (
			state='saved' AND updated_ms > ?
			OR (failed_ms=0 OR failed_ms > ?) AND (
				` + stateIn(unsaved...) + ` AND updated_ms > ?
				OR ` + stateIn(resources.StatesThat(resources.State.Working)...) + ` AND lease_owner <> '' AND lease_until_ms > ?)) ORDER BY id DESC LIMIT 1`,
		queue: `SELECT id, owner, client, lease_owner, state, slot, lease_until_ms > :now FROM images WHERE slot_key=? AND model=? AND ` +
			stateIn(resources.StatesThat(holdsSlot)...),
		grant: `UPDATE images SET state='submitted', slot=TRUE, updated_ms=?, updated_by=?, lease_until_ms=?, changed=` + d.NextChange + `
			WHERE ` + d.In("id") + ` AND state='queued' AND lease_owner=? RETURNING id`,
	}
	for _, to := range resources.States() {
		allowed := stateIn(resources.StatesThat(func(from resources.State) bool { return from.CanBecome(to) })...)
		if to == resources.Unknown {
			allowed += ` AND upstream_url=''`
		}
		// After the lease of a queued image has ended, others may have been given its slot.
		all.record[to] = `UPDATE images SET state=?, updated_ms=:now, updated_by=?, charged=?, upstream_url=?, task_id=?, request_id=?, log_id=?,
			content_filter=?, path=?, mime_type=?, width=?, height=?, bytes=?, sha256=?, marks=?, failure=?, upstream_answer=?,
			failed_ms=CASE WHEN failed_ms=0 AND ?<>'' THEN :now ELSE failed_ms END,
			lease_until_ms=CASE WHEN ?='' THEN lease_until_ms ELSE :now + ? END, changed=` + d.NextChange + `
			WHERE id=? AND ` + allowed + `
			AND (?='' OR state=? AND lease_owner=? AND (state <> 'queued' OR NOT slot OR lease_until_ms > :now))`
	}
	return all
}

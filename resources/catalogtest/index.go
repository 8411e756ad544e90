package catalogtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Row finds an image of any owner in any state.
func testRow(t *testing.T, open func() resources.Catalog) {
	c := open()
	_, err := c.Row(t.Context(), newID())
	require.ErrorIs(t, err, resources.ErrNotFound)
	for _, state := range resources.States() {
		i := insert(t, c, func(r *resources.Row) { r.State, r.Owner = state, "owner of "+string(state) })
		assert.Equal(t, i, row(t, c, i.ID).Image)
	}
	i := reserveCall(t, c, equal("k", dead(one)))
	got := row(t, c, i.ID)
	assert.Equal(t, "k", got.JoinKey)
	assert.Equal(t, i.CreatedAt, got.UpdatedAt)
	assert.False(t, got.LeaseAlive)
	assert.True(t, got.FailedAt.IsZero())
}

// Pages list every image of an owner in a state once, newest first.
func testPage(t *testing.T, open func() resources.Catalog) {
	c := open()
	var want []string
	for range 25 {
		want = append([]string{insert(t, c, nil).ID}, want...)
	}
	insert(t, c, func(r *resources.Row) { r.Owner = "another" })
	unsaved := insert(t, c, func(r *resources.Row) { r.State = resources.Unknown })
	for _, size := range []int{1, 7, 25, 26, 100} {
		got := []string{}
		for before := ""; ; before = got[len(got)-1] {
			page, err := c.Page(t.Context(), owner, resources.Saved, "", before, size)
			require.NoError(t, err)
			if got = append(got, ids(page)...); len(page) < size {
				break
			}
		}
		assert.Equal(t, want, got, "pages of %d", size)
	}
	page, err := c.Page(t.Context(), owner, resources.Unknown, "", "", 10)
	require.NoError(t, err)
	assert.Equal(t, []resources.Image{unsaved}, page)
}

// A search finds the prompts that contain every word, in any order and case.
func testSearch(t *testing.T, open func() resources.Catalog) {
	c := open()
	const (
		kitten = "A cute little kitten on a sunny windowsill, Ärger"
		fox    = "A RED striped Fox, Ünïcode ÄПFEL 100% sure_thing"
		cat    = "一只可爱的小猫坐在窗台上"
		greek  = `Ο ΣΊΣΥΦΟΣ "γράφει" C++ \ back'slash`
	)
	for _, prompt := range []string{kitten, fox, cat, greek} {
		insert(t, c, func(r *resources.Row) { r.Prompt = prompt })
	}
	for query, want := range map[string][]string{
		"kitten windowsill":  {kitten},
		"windowsill kitten":  {kitten},
		"cute  little":       {kitten},
		"\tkitten.\n":        {kitten},
		"“kitten”, (sunny)!": {kitten},
		"ärger":              {kitten},
		"ÄRGER":              {kitten},
		"KITTEN kitten":      {kitten},
		"window":             {kitten},
		"indows":             {kitten},
		"red fox":            {fox},
		"fox red":            {fox},
		"äпfel":              {fox},
		"100%":               {fox},
		"sure_thing":         {fox},
		"sure%thing":         nil,
		"a":                  {greek, fox, kitten},
		"小猫":                 {cat},
		"窗台上 可爱":             {cat},
		"猫":                  {cat},
		"σίσυφος":            {greek},
		`"γράφει"`:           {greek},
		`c++`:                {greek},
		`\`:                  {greek},
		`k's`:                {greek},
		`" OR "`:             nil,
		"kitten fox":         nil,
		"xylophone":          nil,
		"":                   {greek, cat, fox, kitten},
		"?!":                 nil,
	} {
		page, err := c.Page(t.Context(), owner, resources.Saved, query, "", 10)
		require.NoError(t, err, query)
		var got []string
		for _, i := range page {
			got = append(got, i.Prompt)
		}
		assert.Equal(t, want, got, "%q", query)
		other, err := c.Page(t.Context(), "somebody", resources.Saved, query, "", 10)
		require.NoError(t, err)
		assert.Empty(t, other)
	}
}

// A search finds old images too, page by page.
func testSearchOldImages(t *testing.T, open func() resources.Catalog) {
	c := open()
	const images = 2500
	prompt := func(n int) string { return fmt.Sprintf("image number %d of a Fox in the snow, 小猫", n) }
	var rows []resources.Row
	for n := range images {
		i := call(resources.Lease{}).Images[0]
		i.State, i.CreatedAt, i.Prompt = resources.Saved, time.Now(), prompt(n)
		rows = append(rows, resources.Row{Image: i})
	}
	added, err := c.Insert(t.Context(), rows...)
	require.NoError(t, err)
	require.Equal(t, images, added)
	for _, query := range []string{"NUMBER fox", "number 12", "1", "2499", "小猫 7", "猫 11", "absent", "fox absent"} {
		var got, want []string
		for before := ""; ; {
			page, err := c.Page(t.Context(), owner, resources.Saved, query, before, 50)
			require.NoError(t, err)
			for _, i := range page {
				got, before = append(got, i.Prompt), i.ID
			}
			if len(page) < 50 {
				break
			}
		}
		for n := images - 1; n >= 0; n-- {
			matches := true
			for word := range strings.FieldsSeq(strings.ToLower(query)) {
				matches = matches && strings.Contains(strings.ToLower(prompt(n)), word)
			}
			if matches {
				want = append(want, prompt(n))
			}
		}
		assert.Equal(t, want, got, query)
	}
}

// IDs completes the ids of saved images, newest first.
func testIDs(t *testing.T, open func() resources.Catalog) {
	c := open()
	first, second := insert(t, c, nil).ID, insert(t, c, nil).ID
	insert(t, c, func(r *resources.Row) { r.State = resources.Unknown })
	for prefix, want := range map[string][]string{"": {second, first}, first: {first}, first[:2]: {second, first}, "zz": nil, "%": nil, "_": nil} {
		got, err := c.IDs(t.Context(), owner, prefix, 10)
		require.NoError(t, err)
		assert.Equal(t, want, got, prefix)
	}
	got, err := c.IDs(t.Context(), owner, "", 1)
	require.NoError(t, err)
	assert.Equal(t, []string{second}, got)
	got, err = c.IDs(t.Context(), "another", "", 10)
	require.NoError(t, err)
	assert.Empty(t, got)
}

// Neighbors are the owner's nearest saved images, also of an id that no image has.
func testNeighbors(t *testing.T, open func() resources.Catalog) {
	c := open()
	neighbors := func(owner, id string) []string {
		newer, older, err := c.Neighbors(t.Context(), owner, id)
		require.NoError(t, err)
		return []string{newer, older}
	}
	assert.Equal(t, []string{"", ""}, neighbors(owner, newID()))
	first := insert(t, c, nil).ID
	insert(t, c, func(r *resources.Row) { r.Owner = "another" })
	unsaved := insert(t, c, func(r *resources.Row) { r.State = resources.Unknown }).ID
	removed := insert(t, c, func(r *resources.Row) { r.State = resources.Removed }).ID
	second, third := insert(t, c, nil).ID, insert(t, c, nil).ID
	assert.Equal(t, []string{second, ""}, neighbors(owner, first))
	assert.Equal(t, []string{third, first}, neighbors(owner, second))
	assert.Equal(t, []string{"", second}, neighbors(owner, third))
	assert.Equal(t, []string{second, first}, neighbors(owner, unsaved))
	assert.Equal(t, []string{second, first}, neighbors(owner, removed))
	assert.Equal(t, []string{"", third}, neighbors(owner, newID()))
	assert.Equal(t, []string{"", ""}, neighbors("somebody", second))
}

// Spending is grouped by day, owner, model and sandbox, and leaves out images that
// were not charged. Removed images count.
func testSpending(t *testing.T, open func() resources.Catalog) {
	c := open()
	late := time.Date(2026, 11, 20, 23, 59, 59, 999e6, time.UTC)
	spend := func(owner, model string, cost int64, change func(*resources.Row)) {
		insert(t, c, func(r *resources.Row) {
			r.Owner, r.Model, r.CostMicroUSD, r.CreatedAt = owner, model, cost, late
			if change != nil {
				change(r)
			}
		})
	}
	spend(owner, "glm", 15_000, nil)
	spend(owner, "glm", 15_000, func(r *resources.Row) { r.State, r.Prompt = resources.Removed, "" })
	spend("alice", "cog", 10_000, nil)
	spend(owner, "glm", 15_000, func(r *resources.Row) { r.Sandbox = true })
	spend(owner, "glm", 15_000, func(r *resources.Row) { r.CreatedAt = late.Add(time.Millisecond) })
	spend(owner, "glm", 15_000, func(r *resources.Row) { r.State, r.Charged = resources.Failed, false })
	spend(owner, "glm", 15_000, func(r *resources.Row) { r.State = resources.Lost; r.CreatedAt = late.AddDate(0, 0, -1) })
	all, err := c.Spending(t.Context(), "", late, time.Time{})
	require.NoError(t, err)
	assert.Equal(t, []resources.Spending{
		{Day: "2026-11-21", Owner: owner, Model: "glm", Images: 1, CostUSD: 0.015},
		{Day: "2026-11-20", Owner: "alice", Model: "cog", Images: 1, CostUSD: 0.01},
		{Day: "2026-11-20", Owner: owner, Model: "glm", Images: 2, CostUSD: 0.03},
		{Day: "2026-11-20", Owner: owner, Model: "glm", Sandbox: true, Images: 1, CostUSD: 0.015},
	}, all)
	own, err := c.Spending(t.Context(), owner, time.Time{}, time.Time{})
	require.NoError(t, err)
	assert.Len(t, own, 4)
	day, err := c.Spending(t.Context(), owner, late, late)
	require.NoError(t, err)
	assert.Equal(t, []resources.Spending{all[2], all[3]}, day, "both days count")
	spent, err := c.SpentToday(t.Context(), owner, false)
	require.NoError(t, err)
	assert.Zero(t, spent, "these days have passed or not come")
}

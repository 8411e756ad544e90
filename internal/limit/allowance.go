package limit

// Allowance is what an owner may do.
type Allowance struct {
	BudgetUSD float64 // US dollars per UTC day; 0 for no limit
	Images    int     // per UTC day; 0 for no limit
	ReadOnly  bool    // the owner may not generate images
	Refused   bool    // the owner may not use the server
}

// rules are the rules of a line of a QuotaFile.
type rules struct {
	budget *float64 // nil if the line has none
	images *int     // nil if the line has none

	readOnly, refuse bool
}

// fillUp adds the figures of another line that these rules do not have.
func (r rules) fillUp(other rules) rules {
	if r.budget == nil {
		r.budget = other.budget
	}
	if r.images == nil {
		r.images = other.images
	}
	return r
}

// allowance returns the rules with a budget for those without one.
func (r rules) allowance(budgetUSD float64) Allowance {
	a := Allowance{BudgetUSD: budgetUSD, ReadOnly: r.readOnly, Refused: r.refuse}
	if r.budget != nil {
		a.BudgetUSD = *r.budget
	}
	if r.images != nil {
		a.Images = *r.images
	}
	return a
}

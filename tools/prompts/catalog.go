package prompts

// catalog returns the prompts for images.
func catalog() []prompt {
	return []prompt{food(), product(), game(), teaching(), tourism()}
}

func food() prompt {
	return prompt{
		name: "food_promotion", title: "Food and beverage promotion",
		description: "An appetizing image of a dish or drink for a menu, a delivery platform or a poster",
		subject:     argument{"dish", "Name of the dish or drink", nil},
		details: []argument{
			{"ingredients", "What it is made of and what makes it special", nil},
			{"style", "Look of the image", []string{"bright and fresh", "dark and moody", "rustic", "minimalist", "festive", "street food"}},
		},
		formats: []format{{"menu", "illustration"}, {"delivery platform", "square"}, {"poster", "poster"}, {"social media story", "phone"}, {"banner", "slide"}},
		hd:      true,
		guidance: "commercial food photography; the dish in the middle, its texture, steam and gloss in close detail, the named ingredients to be seen; " +
			"one light and its direction; tableware and background that suit the style; a shallow depth of field.",
	}
}

func product() prompt {
	return prompt{
		name: "product_image", title: "E-commerce product image",
		description: "A product shown for an online shop or a campaign, with bilingual promotional text if wanted",
		subject:     argument{"product", "The product: what it is, its material and colour", nil},
		details: []argument{
			{"selling_points", "What is to be seen or felt at first sight", nil},
			{"background", "Where it stands", []string{"plain white", "soft gradient", "studio with props", "in use at home", "outdoors", "seasonal"}},
		},
		formats: []format{{"product page", "square"}, {"detail page", "poster"}, {"campaign banner", "header"}, {"mobile banner", "phone"}},
		hd:      true,
		guidance: "product photography; the whole product, undistorted, in the named material and colour; the angle that shows the selling points; " +
			"soft light without hard reflections; the background as asked for, with free room where text is to stand; no logos or brands that were not named.",
		cutOut: true,
	}
}

func game() prompt {
	return prompt{
		name: "game_asset", title: "Game asset",
		description: "A character, item or scene for a game, from its world and setting",
		subject:     argument{"asset", "What is needed: a character, item, creature or place", nil},
		details: []argument{
			{"world", "The game's world: time, place, mood", nil},
			{"traits", "Character, equipment, pose or function", nil},
			{"style", "Look of the art", []string{"painted concept art", "anime", "low poly", "pixel art", "cartoon", "realistic"}},
		},
		formats: []format{{"character sheet", "poster"}, {"item icon", "square"}, {"scene", "slide"}, {"loading screen", "header"}, {"mobile card", "phone"}},
		hd:      true,
		guidance: "concept art in the named style; a character whole from head to foot, an item whole; silhouette, costume and material told apart clearly; " +
			"the light and colours of the world; a plain background, unless a scene is asked for.",
		cutOut: true,
	}
}

func teaching() prompt {
	return prompt{
		name: "teaching_illustration", title: "Educational illustration",
		description: "An image that makes a text or topic of a lesson visible",
		subject:     argument{"topic", "What is to be explained: a topic or the text of the lesson", nil},
		details: []argument{
			{"learners", "Who learns with it", []string{"preschool", "primary school", "secondary school", "university", "adults"}},
			{"style", "Look of the image", []string{"textbook drawing", "watercolour", "flat vector", "cutaway diagram", "historical scene", "comic"}},
		},
		formats: []format{{"textbook page", "illustration"}, {"slide", "slide"}, {"worksheet", "poster"}, {"wall chart", "infographic"}, {"flash card", "square"}},
		guidance: "find the one thing that the learner has to see and put it in the middle; correct in its parts, numbers and proportions; simple shapes, clear outlines and few, " +
			"strong colours for the young, more detail for the older; nothing that leads away from the topic. Labels only if they are asked for, as they may be misspelled.",
	}
}

func tourism() prompt {
	return prompt{
		name: "tourism_promotion", title: "Culture and tourism promotion",
		description: "An image that makes people want to visit a place or an event",
		subject:     argument{"place", "The place, festival or theme", nil},
		details: []argument{
			{"elements", "What is typical of it: buildings, landscape, customs, food", nil},
			{"season", "When", []string{"spring", "summer", "autumn", "winter", "night", "festival"}},
			{"style", "Look of the image", []string{"photograph", "vintage travel poster", "ink painting", "paper cut", "flat illustration"}},
		},
		formats: []format{{"poster", "poster"}, {"website header", "header"}, {"banner", "slide"}, {"social media story", "phone"}, {"post", "square"}},
		hd:      true,
		guidance: "one view that nobody confuses with another place; its typical elements in foreground, middle and distance; people who enjoy it, small; " +
			"the light of season and hour; free room where text is to stand; buildings and customs as they really are.",
	}
}

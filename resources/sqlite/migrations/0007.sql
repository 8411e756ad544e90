-- The search index also finds words of fewer than three characters. The spaces at the end
-- of each prompt make every character of it the first one of a trigram, and prompt_terms
-- lists the trigrams.
DROP TRIGGER images_insert_prompt;
DROP TRIGGER images_update_prompt;
DROP TABLE prompts;
CREATE VIRTUAL TABLE prompts USING fts5(prompt, content='', contentless_delete=1, detail=none, tokenize='trigram');
INSERT INTO prompts (rowid, prompt) SELECT rowid, prompt || '  ' FROM images WHERE prompt<>'';
CREATE TRIGGER images_insert_prompt AFTER INSERT ON images BEGIN
  INSERT INTO prompts (rowid, prompt) VALUES (new.rowid, new.prompt || '  ');
END;
CREATE TRIGGER images_update_prompt AFTER UPDATE OF prompt ON images BEGIN
  DELETE FROM prompts WHERE rowid=old.rowid;
  INSERT INTO prompts (rowid, prompt) VALUES (new.rowid, new.prompt || '  ');
END;
CREATE VIRTUAL TABLE prompt_terms USING fts5vocab(prompts, 'row');

-- reader: 1
-- A second index of the words in prompts also finds words of two characters, and of one that
-- is not in ASCII. The next release removes the first one, image_prompts_by_trigram, and
-- image_trigrams.
--
-- image_terms returns the sequences of three and of two characters in a text, and the single
-- ones that are not in ASCII. Its cost is that of image_trigrams.
CREATE FUNCTION image_terms(folded text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
DECLARE
  a text := '';
  b text := '';
  c text;
  list text[] := '{}';
BEGIN
  FOREACH c IN ARRAY string_to_array(folded, NULL) LOOP
    IF a <> '' THEN
      list := array_append(list, a || b || c);
    END IF;
    IF b <> '' THEN
      list := array_append(list, b || c);
    END IF;
    IF octet_length(c) > 1 THEN
      list := array_append(list, c);
    END IF;
    a := b;
    b := c;
  END LOOP;
  RETURN list;
END $$;

-- Until it is built, images cannot be reserved or deleted: the database is reported as busy.
-- Searches, reads and images in progress go on. A million short prompts take about five minutes.
CREATE INDEX image_prompts_by_term ON image_prompts USING gin (image_terms(folded));

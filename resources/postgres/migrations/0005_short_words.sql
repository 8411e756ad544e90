-- reader: 1
-- The index also finds words of two characters, and of one that is not in ASCII.
-- image_trigrams returns the sequences of three and of two characters in a text, and the
-- single ones that are not in ASCII.
CREATE OR REPLACE FUNCTION image_trigrams(folded text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
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

REINDEX INDEX image_prompts_by_trigram;

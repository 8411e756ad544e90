-- reader: 1
-- The index of the words in prompts: every sequence of three characters. It needs no
-- extension and does not depend on the locale of the database. Its table is separate
-- because a row of images is written several times, but its prompt only once.
CREATE TABLE image_prompts (
  id     text COLLATE "C" PRIMARY KEY,
  folded text COLLATE "C" NOT NULL
);

-- image_fold maps letters that differ only in case to one of them, up to U+052F (Latin,
-- Greek, Cyrillic). The program does not look up words with other letters that have
-- cases.
CREATE FUNCTION image_fold(prompt text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(prompt) = char_length(prompt)
    THEN translate(prompt, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
    ELSE translate(prompt, 'ABCDEFGHIJKLMNOPQRSTUVWXYZàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĳĵķĺļľŀłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷŸźżžſƃƅƈƌƒƙơƣƥƨƭưƴƶƹƽǅǆǈǉǋǌǎǐǒǔǖǘǚǜǝǟǡǣǥǧǩǫǭǯǲǳǵǶǷǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟȠȣȥȧȩȫȭȯȱȳȼȽɂɃɇɉɋɍɏɓɔɖɗəɛɠɣɨɩɯɲɵʀʃʈʉʊʋʌʒͱͳͷΙΜάέήίαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώϐϑϕϖϗϙϛϝϟϡϣϥϧϩϫϭϯϰϱϳϴϵϸϹϻϽϾϿабвгдежзийклмнопрстуфхцчшщъыьэюяѐёђѓєѕіїјљњћќѝўџѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӂӄӆӈӊӌӎӏӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯᲀᲁᲂᲃᲄᲅᲆᲇẞιΩKÅⱢⱤⱥⱦⱭⱮⱯⱰⱾⱿꞍꞪꞫꞬꞭꞮꞰꞱꞲꟅ', 'abcdefghijklmnopqrstuvwxyzÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĲĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶÿŹŻŽsƂƄƇƋƑƘƠƢƤƧƬƯƳƵƸƼǄǄǇǇǊǊǍǏǑǓǕǗǙǛƎǞǠǢǤǦǨǪǬǮǱǱǴƕƿǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞƞȢȤȦȨȪȬȮȰȲȻƚɁƀɆɈɊɌɎƁƆƉƊƏƐƓƔƗƖƜƝƟƦƩƮɄƱƲɅƷͰͲͶͅµΆΈΉΊΑΒΓΔΕΖΗΘͅΚΛµΝΞΟΠΡΣΣΤΥΦΧΨΩΪΫΌΎΏΒΘΦΠϏϘϚϜϞϠϢϤϦϨϪϬϮΚΡͿΘΕϷϲϺͻͼͽАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӁӃӅӇӉӋӍӀӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮВДОСТТЪѢßͅΩkÅɫɽȺȾɑɱɐɒȿɀɥɦɜɡɬɪʞʇʝʂ') END
$$;

-- image_trigrams returns the sequences of three characters in a text. Its cost, compared
-- with that of an operator, keeps the planner from calling it for many rows instead of
-- using the index.
CREATE FUNCTION image_trigrams(folded text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
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
    a := b;
    b := c;
  END LOOP;
  RETURN list;
END $$;

CREATE INDEX image_prompts_by_trigram ON image_prompts USING gin (image_trigrams(folded));

CREATE FUNCTION image_prompt_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NEW.prompt = '' THEN
    DELETE FROM image_prompts WHERE id = NEW.id;
  ELSE
    INSERT INTO image_prompts (id, folded) VALUES (NEW.id, image_fold(NEW.prompt))
      ON CONFLICT (id) DO UPDATE SET folded = excluded.folded;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER images_insert_prompt AFTER INSERT ON images
  FOR EACH ROW EXECUTE FUNCTION image_prompt_changed();
CREATE TRIGGER images_update_prompt AFTER UPDATE OF prompt ON images
  FOR EACH ROW WHEN (OLD.prompt <> NEW.prompt) EXECUTE FUNCTION image_prompt_changed();

-- reader: 1
-- Other processes hear of a change when its transaction is committed. The payload is the
-- id of the image.
CREATE FUNCTION image_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('zai_images', NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER images_insert_notify AFTER INSERT ON images
  FOR EACH ROW EXECUTE FUNCTION image_changed();
CREATE TRIGGER images_update_notify AFTER UPDATE ON images
  FOR EACH ROW WHEN (OLD.changed <> NEW.changed) EXECUTE FUNCTION image_changed();

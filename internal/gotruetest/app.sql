-- What an application keeps beside the accounts, and what nearly every guide tells it to
-- write: a profile by trigger, foreign keys with and without cascade, policies, a view.

CREATE TABLE public.profiles (
    id uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
    first_name text,
    last_name text,
    clinic text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE public.subscriptions (
    user_id uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
    plan text NOT NULL DEFAULT 'free'
);
-- A case outlives nobody by accident: who has cases can't be deleted.
CREATE TABLE public.cases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id),
    title text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What a trigger does runs as the one who signs somebody up, unless it says otherwise.
CREATE FUNCTION public.handle_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF new.raw_user_meta_data ->> 'clinic' = 'closed' THEN
        RAISE EXCEPTION 'no profile for %: the clinic is closed', new.email;
    ELSIF new.raw_user_meta_data ->> 'clinic' = 'private' THEN
        RAISE EXCEPTION 'This clinic takes people by invitation only' USING ERRCODE = 'PT403';
    END IF;
    INSERT INTO public.profiles (id, first_name, last_name, clinic)
    VALUES (new.id, new.raw_user_meta_data ->> 'first_name', new.raw_user_meta_data ->> 'last_name', new.raw_user_meta_data ->> 'clinic');
    INSERT INTO public.subscriptions (user_id) VALUES (new.id);
    RETURN new;
END
$$;
CREATE TRIGGER on_auth_user_created AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.handle_new_user();

CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.updated_at := clock_timestamp();
    RETURN new;
END
$$;
CREATE TRIGGER profiles_touch BEFORE UPDATE ON public.profiles FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE TRIGGER cases_touch BEFORE UPDATE ON public.cases FOR EACH ROW EXECUTE FUNCTION public.touch();

ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.cases ENABLE ROW LEVEL SECURITY;
CREATE POLICY "own profile" ON public.profiles FOR SELECT TO authenticated USING ((SELECT auth.uid()) = id);
CREATE POLICY "own profile, change" ON public.profiles FOR UPDATE TO authenticated USING ((SELECT auth.uid()) = id);
CREATE POLICY "own cases" ON public.cases TO authenticated USING ((SELECT auth.uid()) = user_id) WITH CHECK ((SELECT auth.uid()) = user_id);
CREATE POLICY "cases by the strong" ON public.cases AS RESTRICTIVE FOR DELETE TO authenticated USING (auth.jwt() ->> 'aal' = 'aal2');
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.profiles, public.cases, public.subscriptions TO authenticated, service_role;
CREATE VIEW public.people AS SELECT u.id, u.email, p.first_name FROM auth.users u JOIN public.profiles p ON p.id = u.id;

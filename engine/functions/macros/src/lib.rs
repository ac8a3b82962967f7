//! The `#[builtin]` attribute: one declaration a function.
//!
//! `#[builtin(oid = 177)] fn int4pl(a: i32, b: i32) -> Result<i32>` keeps the function and adds, beside
//! it, a module of the same name whose `BUILTINS` hold, for each oid (`oid = [a, b]` for several), the single-value and the vector form. The types of
//! the parameters say how values are read; an `Option` parameter makes the function not strict. A first
//! parameter of type `&mut CallContext<'_>` is handed the call's context.
//!
//! Flags: `volatile` keeps calls with constant arguments from being done once a batch; `raw` takes
//! `(context, &[ValueRef])` and returns `Result<Value>`, for variadic and polymorphic functions, which
//! are strict only with the flag `strict`.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{FnArg, Ident, ItemFn, LitInt, ReturnType, Token, Type, parse_macro_input};

/// What stands in the attribute's parentheses.
struct Declaration {
    oids: Vec<LitInt>,
    volatile: bool,
    raw: bool,
    strict: bool,
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut oids = Vec::new();
        let (mut volatile, mut raw, mut strict) = (false, false, false);
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "oid" => {
                    input.parse::<Token![=]>()?;
                    if input.peek(syn::token::Bracket) {
                        let list;
                        syn::bracketed!(list in input);
                        oids.extend(Punctuated::<LitInt, Token![,]>::parse_terminated(&list)?);
                    } else {
                        oids.push(input.parse()?);
                    }
                }
                "volatile" => volatile = true,
                "raw" => raw = true,
                "strict" => strict = true,
                _ => return Err(syn::Error::new(key.span(), "expected oid, volatile, raw or strict")),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if oids.is_empty() {
            return Err(input.error("an oid is required"));
        }
        Ok(Self { oids, volatile, raw, strict })
    }
}

/// The last segment of a type's path.
fn type_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default(),
        Type::Reference(reference) => type_name(&reference.elem),
        Type::Group(group) => type_name(&group.elem),
        _ => String::new(),
    }
}

/// `T` of `Result<T>`, or the type itself.
fn returned(output: &ReturnType) -> (Tokens, bool, String) {
    let ReturnType::Type(_, ty) = output else { return (quote!(()), false, String::new()) };
    if let Type::Path(path) = &**ty
        && let Some(segment) = path.path.segments.last()
        && segment.ident == "Result"
        && let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments
        && let Some(syn::GenericArgument::Type(inner)) = arguments.args.first()
    {
        return (quote!(#inner), true, type_name(inner));
    }
    (quote!(#ty), false, type_name(ty))
}

fn is_primitive(ty: &Type, name: &str) -> bool {
    !matches!(ty, Type::Reference(_)) && matches!(name, "bool" | "i16" | "i32" | "i64" | "f32" | "f64")
}

/// Declares a function of PostgreSQL's catalog.
#[proc_macro_attribute]
pub fn builtin(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let declaration = parse_macro_input!(attribute as Declaration);
    let function = parse_macro_input!(item as ItemFn);
    let expanded =
        if declaration.raw { raw(&declaration, &function) } else { typed(&declaration, &function) };
    quote!(#function #expanded).into()
}

fn raw(declaration: &Declaration, function: &ItemFn) -> Tokens {
    let name = &function.sig.ident;
    let text = name.to_string();
    let Declaration { oids, volatile, strict, .. } = declaration;
    quote! {
        pub(crate) mod #name {
            use super::*;

            fn scalar(context: &mut crate::CallContext<'_>, arguments: &[kokkiri_types::ValueRef<'_>]) -> kokkiri_primitives::Result<kokkiri_types::Value> {
                if #strict && arguments.iter().any(|value| value.is_null()) {
                    return Ok(kokkiri_types::Value::Null);
                }
                super::#name(context, arguments)
            }

            fn vector(context: &mut crate::CallContext<'_>, arguments: &[&kokkiri_types::Column], selection: &kokkiri_types::Selection, out: &mut kokkiri_types::Column) -> kokkiri_primitives::Result<()> {
                crate::kernel::row_by_row(scalar, #volatile, context, arguments, selection, out)
            }

            const NAME: &str = #text;
            const STRICT: bool = #strict;
            pub(crate) const BUILTINS: &[crate::Builtin] = &[#(crate::Builtin {
                oid: kokkiri_primitives::Oid(#oids),
                name: NAME,
                strict: STRICT,
                arguments: None,
                result: None,
                scalar,
                vector,
            }),*];
        }
    }
}

fn typed(declaration: &Declaration, function: &ItemFn) -> Tokens {
    let name = &function.sig.ident;
    let text = name.to_string();
    let Declaration { oids, volatile, .. } = declaration;
    let inputs: Punctuated<_, Token![,]> = function.sig.inputs.clone();
    let mut types: Vec<Type> = Vec::new();
    let mut with_context = false;
    for input in &inputs {
        let FnArg::Typed(parameter) = input else { continue };
        if type_name(&parameter.ty) == "CallContext" {
            with_context = true;
        } else {
            types.push((*parameter.ty).clone());
        }
    }
    let names: Vec<String> = types.iter().map(type_name).collect();
    let strict = names.iter().all(|name| name != "Option");
    let (output, fallible, output_name) = returned(&function.sig.output);
    let count = types.len();
    let index: Vec<usize> = (0..count).collect();
    let reader: Vec<Ident> = index.iter().map(|n| format_ident!("reader{n}")).collect();
    let mask: Vec<Ident> = index.iter().map(|n| format_ident!("mask{n}")).collect();
    let context_argument = if with_context { quote!(context,) } else { quote!() };
    let wrap = |call: Tokens| if fallible { quote!(#call?) } else { call };

    let scalar_call = wrap(quote! {
        super::#name(#context_argument #(<#types as crate::kernel::Argument<'_>>::from_value(arguments[#index])),*)
    });
    let primitive = !with_context
        && matches!(output_name.as_str(), "bool" | "i16" | "i32" | "i64" | "f32" | "f64")
        && types.iter().zip(&names).all(|(ty, name)| is_primitive(ty, name));
    let closure_body = |arguments: Tokens| {
        if fallible { quote!(super::#name(#arguments)) } else { quote!(Ok(super::#name(#arguments))) }
    };
    let vector_body = match (primitive, count) {
        (true, 1) => {
            let body = closure_body(quote!(a));
            quote!(crate::kernel::unary::<_, _, #fallible>(|a| #body, arguments, selection, out))
        }
        (true, 2) => {
            let body = closure_body(quote!(a, b));
            quote!(crate::kernel::binary::<_, _, _, #fallible>(|a, b| #body, arguments, selection, out))
        }
        _ => {
            let call = wrap(quote! {
                super::#name(#context_argument #(<#types as crate::kernel::Argument<'_>>::read(#reader, row & #mask)),*)
            });
            quote! {
                if !#volatile && arguments.iter().all(|column| column.is_constant()) {
                    return crate::kernel::fold(scalar, <#output as crate::kernel::Return>::physical(context), context, arguments, out);
                }
                let physical = <#output as crate::kernel::Return>::physical(context);
                if !crate::kernel::prepare(arguments, selection.rows(), physical, #strict, out) {
                    return Ok(());
                }
                #(let #reader = <#types as crate::kernel::Argument<'_>>::reader(arguments[#index]);)*
                #(let #mask = crate::kernel::mask(arguments[#index]);)*
                let skip = if out.nulls().any() { Some(out.nulls().clone()) } else { None };
                let mut writer = <#output as crate::kernel::Return>::writer(out);
                selection.try_for_each(|row| {
                    if skip.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                        return Ok(());
                    }
                    let result = #call;
                    crate::kernel::Return::write(result, &mut writer, row)
                })
            }
        }
    };
    let unused_context = if with_context || !(primitive && (count == 1 || count == 2)) {
        quote!()
    } else {
        quote!(let _ = context;)
    };
    quote! {
        pub(crate) mod #name {
            #[allow(unused_imports)]
            use super::*;

            fn scalar(context: &mut crate::CallContext<'_>, arguments: &[kokkiri_types::ValueRef<'_>]) -> kokkiri_primitives::Result<kokkiri_types::Value> {
                let _ = &context;
                if #strict && arguments.iter().any(|value| value.is_null()) {
                    return Ok(kokkiri_types::Value::Null);
                }
                crate::kernel::Return::into_value(#scalar_call)
            }

            fn vector(context: &mut crate::CallContext<'_>, arguments: &[&kokkiri_types::Column], selection: &kokkiri_types::Selection, out: &mut kokkiri_types::Column) -> kokkiri_primitives::Result<()> {
                #unused_context
                #vector_body
            }

            const ARGUMENTS: &[Option<kokkiri_types::PhysicalType>] =
                &[#(<#types as crate::kernel::Argument<'static>>::PHYSICAL),*];
            const RESULT: Option<kokkiri_types::PhysicalType> = <#output as crate::kernel::Return>::PHYSICAL;
            const NAME: &str = #text;
            const STRICT: bool = #strict;
            pub(crate) const BUILTINS: &[crate::Builtin] = &[#(crate::Builtin {
                oid: kokkiri_primitives::Oid(#oids),
                name: NAME,
                strict: STRICT,
                arguments: Some(ARGUMENTS),
                result: Some(RESULT),
                scalar,
                vector,
            }),*];
        }
    }
}
